// `wiretape help`: the help of a subcommand, or the whole manual page. The page is put together
// from the option tables, one subsection a subcommand, so it says what --help says.
#include <string>

#include "cli/options.h"
#include "cli/text.h"

namespace wiretape {
namespace {

constexpr std::string_view page_head = R"(.TH WIRETAPE 1 "" "wiretape )" WIRETAPE_VERSION R"("
.SH NAME
wiretape \- record TCP traffic between clients and a server, and replay it
.SH SYNOPSIS
.B wiretape
.I COMMAND
.RI [ options ]
.SH DESCRIPTION
Wiretape sits between a client and a server, records every byte of every TCP connection with its
time on a tape, and plays the client's side again against another server with the same order and
timing, saying what came out different.
.PP
ADDR is HOST:PORT, :PORT (the loopback address when listening), [v6]:PORT, unix:/path, or a URL.
A TAPE may be \-, standard input or output. Durations are written 5s, 200ms or 1m; sizes 64MiB
or 10M. Results go to standard output, everything else to standard error.
.SH COMMANDS
)";

constexpr std::string_view page_tail = R"(.SH EXIT STATUS
.TP
.B 0
done, and everything was the same, or whole
.TP
.B 1
done, and something differs, is damaged, or was not recorded
.TP
.B 2
the command line is wrong, or asks for what is not allowed
.TP
.B 3
it could not be done: port in use, target unreachable, file missing or not a tape
.SH ENVIRONMENT
.TP
.B NO_COLOR
no colours, unless \-\-color=always asks for them
)";

int print_manual() {
  put_text(page_head);
  for (const Command& command : commands()) command.run({std::string(describe_manual)});
  put_text(page_tail);
  return exit_status::done;
}

}  // namespace

int help_main(const Arguments& arguments) {
  bool manual = false;
  std::string name;
  Options options("help", "Explains a subcommand, or prints the whole manual page.");
  options.usage("[COMMAND | --man]");
  options.example("what show can do", "wiretape help show");
  options.example("read the manual page", "wiretape help --man | man -l -");
  options.text("COMMAND", "COMMAND", "the subcommand", &name);
  options.flag("--man", "print the manual page, for man -l -", &manual);
  if (auto status = options.parse(arguments)) return *status;
  if (manual) return print_manual();
  return run_command_line(name.empty() ? Arguments{"--help"} : Arguments{name, "--help"});
}

}  // namespace wiretape
