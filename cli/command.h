// The subcommands, and the exit statuses that users and scripts rely on.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace wiretape {

// What stands behind the subcommand's name.
using Arguments = std::vector<std::string>;

namespace exit_status {
inline constexpr int done = 0;       // and everything was the same, or whole
inline constexpr int differs = 1;    // done, but something differs, is damaged or was not recorded
inline constexpr int usage = 2;      // the command line is wrong, or asks for what is not allowed
inline constexpr int could_not = 3;  // the world said no
// record ... -- COMMAND ends with COMMAND's own status, or, as env(1) and nohup(1) do, with
inline constexpr int command_ran_but_bytes_were_lost = 125;
inline constexpr int command_not_executable = 126;
inline constexpr int command_not_found = 127;
}  // namespace exit_status

// One subcommand: its `run` reads its arguments with Options and returns an exit status.
struct Command {
  std::string_view name;
  std::string_view purpose;  // one line, for the list in --help
  int (*run)(const Arguments& arguments);
};

std::span<const Command> commands();

int record_main(const Arguments& arguments);
int replay_main(const Arguments& arguments);
int show_main(const Arguments& arguments);
int stat_main(const Arguments& arguments);
int verify_main(const Arguments& arguments);
int completion_main(const Arguments& arguments);
int help_main(const Arguments& arguments);

// The whole program: finds the subcommand and runs it.
int run_command_line(const Arguments& arguments);

}  // namespace wiretape
