// Wiretape records the TCP traffic between clients and a server and replays it. What the program
// can do is the table in command.cc; each subcommand is a file of this folder.
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstdio>

#include "base/log.h"
#include "cli/command.h"

namespace {

// Results that did not get out are not results. A reader that has seen enough (`| head`) is told
// nothing; a full disk is.
bool output_lost() {
  if (std::fflush(stdout) == 0 && std::ferror(stdout) == 0) return false;
  struct stat out {};
  const bool is_pipe =
      fstat(STDOUT_FILENO, &out) == 0 && (S_ISFIFO(out.st_mode) || S_ISSOCK(out.st_mode));
  if (!is_pipe) wiretape::fail("cannot write all of the result to standard output");
  return true;
}

}  // namespace

int main(int argc, char** argv) {
  // A peer or a pipe that went away is an error of one write, not the end of the program.
  // A file that may not grow any more is a full disk.
  std::signal(SIGPIPE, SIG_IGN);
  std::signal(SIGXFSZ, SIG_IGN);
  const int status = wiretape::run_command_line({argv + std::min(argc, 1), argv + argc});
  return output_lost() ? wiretape::exit_status::could_not : status;
}
