// Keeps a replay from writing where nobody meant it to: what is neither loopback nor private is
// sent nothing but reading requests, and never the server that was recorded, unless allowed.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/address.h"
#include "base/result.h"
#include "replayer/plan.h"

namespace wiretape {

struct GuardOptions {
  std::vector<std::string> allow_hosts;  // globs, on the host as named or its addresses
  bool allow_recorded_upstream = false;
};

// Where others than the user may be listening. Not public are: unix sockets, loopback, the
// unspecified address (0.0.0.0 and ::, by which Linux means this host), private and unique-local
// addresses (RFC 1918, RFC 4193) and link-local ones, which no router passes on. Everything else
// is, also the shared addresses between a provider and its customers (100.64.0.0/10, RFC 6598). An
// IPv4 address in IPv6's clothes (::ffff:10.0.0.1) is judged as the IPv4 address.
bool is_public(const Address& address);

// An error (usage) for what can never fit a host.
Result<void> check_allow_host(std::string_view glob);

// Why the target may not be replayed to, as one line; empty when it may. `plan` is of the tape and
// `addresses` are all that will be dialled.
std::string why_refused(const GuardOptions& options, const Endpoint& target,
                        const std::vector<Address>& addresses, const Plan& plan);

// The same before a run. Looks through the tape only where an answer depends on it. An error is a
// refusal (ErrorSource::usage) or a tape that can't be read.
Result<void> check_target(const GuardOptions& options, const std::string& tape_path,
                          const Endpoint& target, const std::vector<Address>& addresses,
                          Stretch stretch);

}  // namespace wiretape
