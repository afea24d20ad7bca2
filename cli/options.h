// A subcommand's command line as a table: every flag with its help text and the variable it sets.
//
//   Options options("record", "Records what passes between clients and a server.");
//   options.usage("--listen ADDR --upstream ADDR -o TAPE [-- COMMAND ARGS...]");
//   options.example("record a server on port 3000", "wiretape record --listen ...");
//   options.endpoints("--listen", "where clients connect", PortZero::allowed, &listen).required();
//   options.flag("-f,--force", "overwrite an existing tape", &force);
//   options.not_built({"--pcap", "--rotate"});
//   if (auto status = options.parse(arguments)) return *status;
//
// parse() says what is wrong, or prints the help, by itself, and tells base/log.h of -q, -v and
// --color. A variable whose flag is not given
// keeps the value it had. Each Options has --help, --color, -v and -q already.
//
// Completion and the man page come from the same table: a subcommand that is run with one of the
// describe_* arguments alone prints its part of them instead.
#pragma once

#include <cstdio>

#include <algorithm>
#include <cstdint>
#include <deque>
#include <functional>
#include <initializer_list>
#include <limits>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/address.h"
#include "base/result.h"
#include "cli/command.h"
#include "cli/values.h"

namespace wiretape {

// The section of the flags that every subcommand has.
inline constexpr std::string_view common_section = "everywhere";

inline constexpr std::string_view describe_words = "--describe=words";
inline constexpr std::string_view describe_manual = "--describe=manual";

// One row of the table.
struct Option {
  // Takes a value, or says what is wrong with it. A flag's is called with "".
  using Setter = std::function<Result<void>(std::string_view value)>;

  std::string names;    // "-o,--output"; the long name last. A positional's has no dash: "TAPE"
  std::string metavar;  // of its value: "ADDR"; empty for a flag
  std::string help;
  std::string section;
  Setter set;
  bool repeatable = false;
  bool is_required = false;
  size_t times_given = 0;

  Option& required() { return is_required = true, *this; }
  bool positional() const { return names.front() != '-'; }
  std::string long_name() const { return names.substr(names.rfind(',') + 1); }
};

class Options {
 public:
  Options(std::string_view subcommand, std::string_view purpose);

  // For --help. `usage` is what stands behind "wiretape record"; two examples are the rule.
  void usage(std::string_view arguments) { usage_ = arguments; }
  void example(std::string_view what, std::string_view command);
  void section(std::string_view title) { section_ = title; }  // of the options added next

  Option& flag(std::string_view names, std::string_view help, bool* to);
  Option& text(std::string_view names, std::string_view metavar, std::string_view help,
               std::string* to);
  Option& texts(std::string_view names, std::string_view metavar, std::string_view help,
                std::vector<std::string>* to);  // may be given several times
  Option& duration(std::string_view names, std::string_view help, int64_t* to_ns);
  template <typename Integer>
  Option& integer(std::string_view names, std::string_view help, Integer* to, int64_t least = 0,
                  int64_t most = largest<Integer>());
  Option& choice(std::string_view names, std::string_view help,
                 const std::vector<std::string>& choices, std::string* to);
  Option& endpoint(std::string_view names, std::string_view help, PortZero port_zero, Endpoint* to);
  Option& endpoints(std::string_view names, std::string_view help, PortZero port_zero,
                    std::vector<Endpoint>* to);  // may be given several times
  // Anything else.
  Option& custom(std::string_view names, std::string_view metavar, std::string_view help,
                 Option::Setter set);

  // The argument without a flag; required.
  Option& positional(std::string_view name, std::string_view help, std::string* to);
  // Everything behind "--".
  void command(std::vector<std::string>* to) { command_ = to; }

  // Flags of the contract that this version does not have: refused by name, and not in the help.
  void not_built(std::initializer_list<std::string_view> names);

  // "did you mean `meant`?" for a word that is a slip of the mind, not of the fingers.
  void mistaken(std::string_view typed, std::string_view meant);

  // Sets the variables. The exit status, when the command is not to run: the help was printed, or
  // the command line is wrong and stderr says why.
  std::optional<int> parse(const Arguments& arguments);
  // The same without printing: nothing, when the command is to run.
  struct Outcome {
    int status = 0;
    std::string out;    // for standard output
    std::string error;  // one line, without "wiretape: "
  };
  std::optional<Outcome> read(const Arguments& arguments);

  // Refuses after parse(), what no single value is to blame for: prints the line and returns the
  // exit status.
  int refuse(std::string_view what_is_wrong) const;

  bool given(std::string_view long_name) const;
  int verbosity() const { return verbosity_; }  // -1: -q; 1: -v
  bool colored(FILE* stream) const;             // by --color, NO_COLOR and what the stream is

  std::string help() const;
  std::string words() const;   // flags for completion: "--overload<tab>wait|skip<tab>what then"
  std::string manual() const;  // a subsection of the man page, in man(7)'s language
  const std::deque<Option>& table() const { return table_; }

 private:
  template <typename Integer>
  static constexpr int64_t largest() {
    constexpr auto most = static_cast<uint64_t>(std::numeric_limits<Integer>::max());
    return static_cast<int64_t>(std::min<uint64_t>(most, std::numeric_limits<int64_t>::max()));
  }

  Option& add(std::string_view names, std::string_view metavar, std::string_view help,
              Option::Setter set);
  void add_common();
  std::optional<std::string> tokenize(const Arguments& arguments);
  std::string unknown(std::string_view argument) const;
  std::string unexpected(std::string_view argument) const;
  std::string probably_meant(const std::string& name) const;
  const std::string& to_blame(const Arguments& extra) const;
  std::string see_help() const { return "see wiretape " + subcommand_ + " --help"; }
  std::optional<std::string> misused_equals_sign(const std::string& argument) const;
  std::optional<std::string> apply(Option& option, const std::vector<std::string>& values);
  std::optional<std::string> missing() const;
  bool names_a_flag(std::string_view text) const;

  std::string subcommand_;
  std::string purpose_;
  std::string usage_;
  std::string section_;
  std::vector<std::pair<std::string, std::string>> examples_;
  std::deque<Option> table_;  // a deque: references to its rows are handed out
  std::vector<std::string> not_built_;
  std::vector<std::pair<std::string, std::string>> mistaken_;  // typed, meant
  std::vector<std::string>* command_ = nullptr;
  bool help_asked_ = false;
  int verbosity_ = 0;
  std::string color_ = "auto";
};

template <typename Integer>
Option& Options::integer(std::string_view names, std::string_view help, Integer* to, int64_t least,
                         int64_t most) {
  return custom(names, "N", help, [=](std::string_view value) -> Result<void> {
    const auto number = parse_integer(value, least, most);
    if (!number) return number.error();
    *to = static_cast<Integer>(*number);
    return {};
  });
}

}  // namespace wiretape
