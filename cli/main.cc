// Wiretape records the TCP traffic between clients and a server and replays it. What the program
// can do is the table in command.cc; each subcommand is a file of this folder.
#include <csignal>
#include <cstdio>

#include "cli/command.h"

int main(int argc, char** argv) {
  // A peer or a pipe that went away is an error of one write, not the end of the program.
  std::signal(SIGPIPE, SIG_IGN);
  const int status = wiretape::run_command_line({argv + 1, argv + argc});
  // Results that did not get out are not results. A reader that has seen enough (`| head`) is no
  // reason to complain, so nothing is said.
  return std::fflush(stdout) == 0 ? status : wiretape::exit_status::could_not;
}
