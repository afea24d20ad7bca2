// A tape of production traffic is full of writes, and a mistyped --target is all it takes to do
// them again. Tests run against loopback or a private network, so those are always allowed; what
// is public needs a word from the user, and the word is checked against the addresses that will
// really be dialled, not only against the name.
//
//   loopback, private, unix      allowed
//   public, --allow-host fits    allowed
//   public, else                 only when all of the tape is GET, HEAD and OPTIONS
//   the recorded upstream        when public, only with --allow-recorded-upstream, too
//
// The tape is looked through before the first byte is sent: a refusal half-way would be too late.
#include "replayer/guard.h"

#include <fmt/format.h>
#include <fnmatch.h>

#include <algorithm>
#include <variant>

#include "proto/tape_reader.h"
#include "replayer/schedule.h"

namespace wiretape {
namespace {

bool is_public(const Address& address) {
  return !address.is_loopback() && !address.is_private();
}

bool fits(const std::vector<std::string>& globs, const std::string& name) {
  return std::any_of(globs.begin(), globs.end(), [&](const std::string& glob) {
    return fnmatch(glob.c_str(), name.c_str(), FNM_CASEFOLD) == 0;
  });
}

// What the guard needs to know of a tape.
class LookThrough final : public RecordedListener {
 public:
  LookThrough(const Endpoint& target, const std::vector<Address>& addresses)
      : target_(target), addresses_(addresses) {}

  void item(const TapeReader::Item& item) {
    if (const auto* record = std::get_if<TapeRecord>(&item)) {
      if (const auto* opened = std::get_if<Opened>(&record->event)) {
        goes_back_ |= opened->upstream == target_.text();
      } else if (const auto* connected = std::get_if<Connected>(&record->event)) {
        goes_back_ |= is_address(connected->server);
      }
    }
  }

  void recorded_exchange(ConnectionId, uint64_t, const Exchange& exchange) override {
    const std::string& method = exchange.method;
    if (method != "GET" && method != "HEAD" && method != "OPTIONS") ++writes_;
  }
  void recorded_client(ConnectionId, Bytes) override { ++writes_; }  // who knows what it does
  void recorded_server(ConnectionId, Bytes) override {}
  void recorded_gap(ConnectionId) override {}
  void recorded_closed(ConnectionId, bool) override {}

  uint64_t writes() const { return writes_; }
  bool goes_back() const { return goes_back_; }

 private:
  bool is_address(const std::string& text) const {
    return std::any_of(addresses_.begin(), addresses_.end(),
                       [&](const Address& address) { return address.text() == text; });
  }

  const Endpoint& target_;
  const std::vector<Address>& addresses_;
  uint64_t writes_ = 0;
  bool goes_back_ = false;
};

Result<void> look_through(const std::string& tape_path, LookThrough& facts) {
  auto reader = TapeReader::open(tape_path);
  if (!reader) return reader.error();
  Schedule schedule(facts);
  while (const auto* item = (*reader)->next()) {
    facts.item(*item);
    schedule.feed(*item);
    schedule.actions().clear();
  }
  schedule.finish();
  return {};
}

Error refusal(const std::string& what) {
  return {ErrorSource::usage, what};
}

bool is_allowed(const GuardOptions& options, const Endpoint& target,
                const std::vector<Address>& addresses) {
  if (fits(options.allow_hosts, target.host)) return true;
  return std::all_of(addresses.begin(), addresses.end(), [&](const Address& address) {
    return !is_public(address) || fits(options.allow_hosts, address.ip());
  });
}

}  // namespace

Result<void> check_target(const GuardOptions& options, const std::string& tape_path,
                          const Endpoint& target, const std::vector<Address>& addresses) {
  const auto found = std::find_if(addresses.begin(), addresses.end(), is_public);
  if (found == addresses.end()) return {};
  const bool allowed = is_allowed(options, target, addresses);
  if (allowed && options.allow_recorded_upstream) return {};
  LookThrough facts(target, addresses);
  if (auto looked = look_through(tape_path, facts); !looked) return looked;
  if (facts.goes_back() && !options.allow_recorded_upstream) {
    return refusal(
        fmt::format("{} ({}) is the server that was recorded (allow it with "
                    "--allow-recorded-upstream)",
                    target.text(), found->ip()));
  }
  if (facts.writes() > 0 && !allowed) {
    return refusal(
        fmt::format("{} ({}) is a public address and the tape holds more than GET, HEAD "
                    "and OPTIONS (allow it with --allow-host '{}')",
                    target.text(), found->ip(), target.host));
  }
  return {};
}

}  // namespace wiretape
