// What has to be true before a run can begin, in the order in which it is cheapest to find out: the
// target has an address, it may be sent to, the tape can be read.
//
//   options -> resolve -> guard -> open the tape -> Run -> RunReport
#include "replayer/replayer.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <unistd.h>

#include <cerrno>
#include <optional>

#include "base/descriptors.h"
#include "base/loop.h"
#include "base/resolver.h"
#include "proto/tape_reader.h"
#include "replayer/run.h"

namespace wiretape {
namespace {

// A writer holds the lock of its tape until it has finished it.
bool is_being_written(const std::string& path) {
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return false;
  const bool locked = flock(fd, LOCK_SH | LOCK_NB) != 0 && errno == EWOULDBLOCK;
  ::close(fd);
  return locked;
}

Result<std::vector<Address>> resolve(Loop& loop, Resolver& resolver, const Endpoint& target) {
  std::optional<Result<std::vector<Address>>> found;
  resolver.resolve(target, [&](const auto& answer) { found.emplace(answer); });
  while (!found) loop.run();
  return *found;
}

Result<std::unique_ptr<TapeReader>> open_tape(const std::string& path) {
  if (path != "-" && is_being_written(path)) {
    return Error{ErrorSource::tape,
                 fmt::format("{} is still being written (stop the recording first)", path)};
  }
  return TapeReader::open(path);
}

}  // namespace

Result<RunReport> replay(const ReplayOptions& options) {
  raise_descriptor_limit();  // one for each connection that was open at a time
  Loop loop;
  Resolver resolver(loop, ErrorSource::target);
  auto addresses = resolve(loop, resolver, options.target);
  if (!addresses) return addresses.error();
  auto allowed = check_target(options.guard, options.tape, options.target, *addresses);
  if (!allowed) return allowed.error();
  auto tape = open_tape(options.tape);
  if (!tape) return tape.error();
  Target target{loop, resolver, {}, options.timeout_ns};
  for (const Address& address : *addresses) {
    target.addresses.push_back({"", address.ip(), address.unix_path(), address.port()});
  }
  return Run(options, loop, **tape, target).go();
}

}  // namespace wiretape
