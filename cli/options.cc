// From arguments to variables. CLI11 splits the arguments (`-fo x`, `--a=b`, what is a value and
// what is not); everything that a person reads is ours: the values' syntax, the error lines, the
// help (help.cc). CLI11 is a heavy header, so this is the only file that includes it.
//
//   arguments --+--> before "--" -> CLI11 -> words per option -> each option's setter -> variables
//               +--> after "--"  -> COMMAND
//
// Errors are found in the order in which a person can act on them: a flag that does not exist, a
// value that is not one, a flag that is missing. --help wins over all of them: who asks for help
// has a line that is wrong.
#include "cli/options.h"

#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cassert>
#include <cstdlib>
#include <cstring>

#include "base/log.h"

namespace wiretape {
namespace {

// One CLI11 option that collects words and judges nothing.
CLI::Option* register_option(CLI::App& app, const Option& option) {
  if (option.metavar.empty()) return app.add_flag(option.names);
  CLI::Option* registered = app.add_option(option.names);
  registered->type_size(1)->multi_option_policy(CLI::MultiOptionPolicy::TakeAll);
  if (option.positional()) return registered->expected(1);
  return registered->expected(1, CLI::detail::expected_max_vector_size)->allow_extra_args(false);
}

// What one CLI11 option collected. A flag's words are its own idea of "true".
std::vector<std::string> collected(const Option& option, const CLI::Option& from) {
  if (option.metavar.empty()) return std::vector<std::string>(from.count());
  return from.results();
}

std::string flag_part(std::string_view argument) {
  return std::string(argument.substr(0, argument.find('=')));
}

// What CLI11 itself refuses is an option at the end of the line: "--listen: 1 required ADDR ...".
std::string clear_line(const CLI::ParseError& error) {
  std::string said = error.what();
  const size_t begin = said.find("--");
  if (begin == std::string::npos) return said;
  return said.substr(begin, said.find_first_of(" :,=", begin) - begin) + " needs a value";
}

std::string joined(const std::vector<std::string>& words) {
  std::string text;
  for (const std::string& word : words) text += (text.empty() ? "" : "|") + word;
  return text;
}

// A port alone is what people write for ":PORT".
Result<Endpoint> read_endpoint(std::string_view text, PortZero port_zero) {
  auto parsed = parse_endpoint(text, port_zero);
  const bool digits = text.find_first_not_of("0123456789") == std::string_view::npos;
  if (parsed || !digits || !parse_endpoint(fmt::format(":{}", text), port_zero)) return parsed;
  return Error{ErrorSource::usage,
               fmt::format("bad address '{}': no port (did you mean :{}?)", text, text)};
}

}  // namespace

Options::Options(std::string_view subcommand, std::string_view purpose)
    : subcommand_(subcommand), purpose_(purpose) {}

void Options::example(std::string_view what, std::string_view command) {
  examples_.emplace_back(what, command);
}

void Options::not_built(std::initializer_list<std::string_view> names) {
  not_built_.insert(not_built_.end(), names.begin(), names.end());
}

void Options::mistaken(std::string_view typed, std::string_view meant) {
  mistaken_.emplace_back(typed, meant);
}

Option& Options::add(std::string_view names, std::string_view metavar, std::string_view help,
                     Option::Setter set) {
  assert(!names.empty() && set);
  Option& option = table_.emplace_back();
  option.names = names;
  option.metavar = metavar;
  option.help = help;
  option.section = section_;
  option.set = std::move(set);
  return option;
}

Option& Options::custom(std::string_view names, std::string_view metavar, std::string_view help,
                        Option::Setter set) {
  assert(!metavar.empty());
  return add(names, metavar, help, std::move(set));
}

Option& Options::flag(std::string_view names, std::string_view help, bool* to) {
  Option& option = add(names, "", help, [to](std::string_view) -> Result<void> {
    *to = true;
    return {};
  });
  option.repeatable = true;
  return option;
}

Option& Options::text(std::string_view names, std::string_view metavar, std::string_view help,
                      std::string* to) {
  return custom(names, metavar, help, [to](std::string_view value) -> Result<void> {
    *to = value;
    return {};
  });
}

Option& Options::texts(std::string_view names, std::string_view metavar, std::string_view help,
                       std::vector<std::string>* to) {
  Option& option = custom(names, metavar, help, [to](std::string_view value) -> Result<void> {
    to->emplace_back(value);
    return {};
  });
  option.repeatable = true;
  return option;
}

Option& Options::positional(std::string_view name, std::string_view help, std::string* to) {
  return text(name, name, help, to).required();
}

Option& Options::duration(std::string_view names, std::string_view help, int64_t* to_ns) {
  return custom(names, "D", help, [to_ns](std::string_view value) -> Result<void> {
    const auto ns = parse_duration(value);
    if (!ns) return ns.error();
    *to_ns = *ns;
    return {};
  });
}

Option& Options::choice(std::string_view names, std::string_view help,
                        const std::vector<std::string>& choices, std::string* to) {
  const std::string all = joined(choices);
  return custom(names, all, help, [choices, all, to](std::string_view value) -> Result<void> {
    *to = value;
    if (std::find(choices.begin(), choices.end(), value) != choices.end()) return {};
    return Error{ErrorSource::usage, fmt::format("\"{}\" is not one of {}", value, all)};
  });
}

Option& Options::endpoint(std::string_view names, std::string_view help, PortZero port_zero,
                          Endpoint* to) {
  return custom(names, "ADDR", help, [=](std::string_view value) -> Result<void> {
    auto parsed = read_endpoint(value, port_zero);
    if (!parsed) return parsed.error();
    *to = *std::move(parsed);
    return {};
  });
}

Option& Options::endpoints(std::string_view names, std::string_view help, PortZero port_zero,
                           std::vector<Endpoint>* to) {
  Option& option = custom(names, "ADDR", help, [=](std::string_view value) -> Result<void> {
    auto parsed = read_endpoint(value, port_zero);
    if (!parsed) return parsed.error();
    to->push_back(*std::move(parsed));
    return {};
  });
  option.repeatable = true;
  return option;
}

void Options::add_common() {
  if (names_a_flag("--help")) return;
  section(common_section);
  flag("-h,--help", "print this and stop", &help_asked_);
  choice("--color", "colours: by default on a terminal only, and never with NO_COLOR",
         {"auto", "always", "never"}, &color_);
  for (const auto& [names, help, level] :
       {std::tuple{"-v,--verbose",
                   "say more on stderr (record: each connection, opened and closed)", 1},
        std::tuple{"-q,--quiet", "say nothing on stderr but errors", -1}}) {
    add(names, "", help, [this, to = level](std::string_view) -> Result<void> {
      verbosity_ = to;
      return {};
    }).repeatable = true;
  }
}

bool Options::names_a_flag(std::string_view text) const {
  return std::any_of(table_.begin(), table_.end(), [text](const Option& option) {
    return option.long_name() == text || flag_part(option.names).substr(0, 2) == text;
  });
}

// Why an argument that is no flag is one too many.
std::string Options::unexpected(std::string_view argument) const {
  const auto takes = std::find_if(table_.begin(), table_.end(),
                                  [](const Option& option) { return option.positional(); });
  std::string hint = see_help();
  if (takes != table_.end()) hint = fmt::format("{} takes one {}", subcommand_, takes->names);
  if (command_ != nullptr) hint = "put -- before a command";
  return fmt::format("unexpected argument \"{}\" ({})", argument, hint);
}

std::string Options::probably_meant(const std::string& name) const {
  for (const auto& [typed, meant] : mistaken_) {
    if (typed == name) return meant;
  }
  std::vector<std::string> names;
  for (const Option& option : table_) {
    if (!option.positional()) names.push_back(option.long_name());
  }
  return std::string(closest_match(name, names));
}

// Which of the arguments that nothing took: an unknown flag, because what follows may be its value;
// but where a command may stand, its name, because its flags are not ours.
const std::string& Options::to_blame(const Arguments& extra) const {
  if (command_ != nullptr && !extra.front().starts_with('-')) return extra.front();
  const auto flag = std::find_if(extra.begin(), extra.end(), [](const std::string& argument) {
    return argument.starts_with('-');
  });
  return flag == extra.end() ? extra.front() : *flag;
}

// Why an argument that no option took is wrong.
std::string Options::unknown(std::string_view argument) const {
  if (!argument.starts_with('-')) return unexpected(argument);
  const std::string name = flag_part(argument);
  if (std::find(not_built_.begin(), not_built_.end(), name) != not_built_.end()) {
    return name + " is not in this version";
  }
  const std::string near = probably_meant(name);
  return fmt::format("unknown flag {} ({})", name,
                     near.empty() ? see_help() : fmt::format("did you mean {}?", near));
}

std::optional<std::string> Options::apply(Option& option, const std::vector<std::string>& values) {
  option.times_given += values.size();
  if (option.times_given > 1 && !option.repeatable) return option.long_name() + " is given twice";
  for (const std::string& value : values) {
    if (!value.empty() && value.starts_with('-') && names_a_flag(flag_part(value))) {
      return option.long_name() + " needs a value (" + option.metavar + ")";
    }
    const Result<void> taken = option.set(value);
    if (!taken) return option.long_name() + ": " + taken.error().message;
  }
  return {};
}

// "--output=" and "--force=yes", which CLI11 takes for something else.
std::optional<std::string> Options::misused_equals_sign(const std::string& argument) const {
  const size_t sign = argument.find('=');
  if (!argument.starts_with("--") || sign == std::string::npos) return {};
  const std::string name = flag_part(argument);
  for (const Option& option : table_) {
    if (option.long_name() != name) continue;
    if (option.metavar.empty()) return name + " takes no value";
    if (sign + 1 == argument.size()) return name + " needs a value (" + option.metavar + ")";
  }
  return {};
}

// Runs CLI11 over the arguments and the setters over what it found; what is wrong, if anything.
std::optional<std::string> Options::tokenize(const Arguments& arguments) {
  for (const std::string& argument : arguments) {
    if (auto wrong = misused_equals_sign(argument)) return wrong;
  }
  CLI::App app;
  app.set_help_flag();
  app.allow_extras();
  std::vector<const CLI::Option*> registered;
  for (const Option& option : table_) registered.push_back(register_option(app, option));
  try {
    app.parse(std::vector<std::string>(arguments.rbegin(), arguments.rend()));
  } catch (const CLI::ParseError& error) {
    return clear_line(error);
  }
  if (const auto extra = app.remaining(); !extra.empty()) return unknown(to_blame(extra));
  for (size_t i = 0; i < registered.size(); ++i) {
    if (auto wrong = apply(table_[i], collected(table_[i], *registered[i]))) return wrong;
  }
  return {};
}

std::optional<std::string> Options::missing() const {
  for (const Option& option : table_) {
    if (!option.is_required || option.times_given > 0) continue;
    const std::string what =
        option.positional() ? option.names : option.long_name() + " " + option.metavar;
    return what + " is missing (" + see_help() + ")";
  }
  return {};
}

std::optional<Options::Outcome> Options::read(const Arguments& arguments) {
  add_common();
  if (arguments == Arguments{std::string(describe_words)}) return Outcome{0, words(), ""};
  if (arguments == Arguments{std::string(describe_manual)}) return Outcome{0, manual(), ""};
  auto end = arguments.end();
  if (command_ != nullptr) {
    end = std::find(arguments.begin(), arguments.end(), "--");
    if (end != arguments.end()) command_->assign(end + 1, arguments.end());
  }
  const Arguments ours(arguments.begin(), end);
  const bool asked = std::any_of(ours.begin(), ours.end(), [](const std::string& argument) {
    return argument == "--help" || argument == "-h";
  });
  if (asked) return Outcome{exit_status::done, help(), ""};
  auto wrong = tokenize(ours);
  if (!wrong) wrong = missing();
  if (!wrong && end != arguments.end() && command_->empty()) {
    wrong = "there is no command behind -- (name one, or leave -- out)";
  }
  if (!wrong) return {};
  return Outcome{exit_status::usage, "", *wrong};
}

std::optional<int> Options::parse(const Arguments& arguments) {
  const auto outcome = read(arguments);
  set_log_quiet(verbosity_ < 0);
  set_log_verbose(verbosity_ > 0);
  if (color_ != "auto") {
    set_log_color(color_ == "always" ? ColorChoice::always : ColorChoice::never);
  }
  if (!outcome) return {};
  if (outcome->status != exit_status::done) return refuse(outcome->error);
  std::fputs(outcome->out.c_str(), stdout);
  return outcome->status;
}

int Options::refuse(std::string_view what_is_wrong) const {
  fail("{}", what_is_wrong);
  return exit_status::usage;
}

bool Options::given(std::string_view long_name) const {
  for (const Option& option : table_) {
    if (option.long_name() == long_name) return option.times_given > 0;
  }
  assert(false && "asked for a flag that is not in the table");
  return false;
}

bool Options::colored(FILE* stream) const {
  if (color_ != "auto") return color_ == "always";
  const char* no_color = std::getenv("NO_COLOR");
  if (no_color != nullptr && *no_color != '\0') return false;
  const char* terminal = std::getenv("TERM");
  if (terminal == nullptr || std::strcmp(terminal, "dumb") == 0) return false;
  return isatty(fileno(stream)) != 0;
}

}  // namespace wiretape
