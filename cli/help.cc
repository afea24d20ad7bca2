// The text of --help, laid out from the same table that reads the arguments, so it cannot lie:
//
//   usage: wiretape show TAPE [options]
//
//   What the subcommand is for.
//
//   examples:
//     # what it does
//     wiretape show session.tape
//
//   options:
//     -o, --output FILE   what it means, wrapped
//                         at 100 columns
//
// Flags that are not in this version never got into the table and so are not in the help.
#include <fmt/core.h>

#include <algorithm>

#include "cli/options.h"

namespace wiretape {
namespace {

constexpr size_t width_max = 100;
constexpr size_t names_width_max = 32;  // longer names get a line of their own

// "-o,--output" and "FILE" as "-o, --output FILE"; long names stand below one another.
std::string left_column(const Option& option) {
  if (option.positional()) return option.names;
  const size_t comma = option.names.find(',');
  const bool has_short = comma != std::string::npos;
  std::string text = has_short ? option.names.substr(0, comma) + ", " : std::string(4, ' ');
  text += option.long_name();
  if (!option.metavar.empty()) text += " " + option.metavar;
  return text;
}

// `text` broken at spaces, its further lines indented.
std::string wrapped(std::string_view text, size_t indent) {
  std::string lines;
  size_t column = indent;
  while (!text.empty()) {
    const std::string_view word = text.substr(0, text.find(' '));
    text.remove_prefix(std::min(word.size() + 1, text.size()));
    if (column != indent && column + 1 + word.size() > width_max) {
      lines += '\n';
      lines.append(indent, ' ');
      column = indent;
    }
    if (column != indent) lines += " ", ++column;
    lines += word;
    column += word.size();
  }
  return lines;
}

std::string row(const Option& option, size_t indent) {
  const std::string left = left_column(option);
  const char* note = option.is_required && !option.positional() ? " (required)" : "";
  const std::string help = wrapped(option.help + note, indent);
  if (left.size() + 4 > indent) return fmt::format("  {}\n{:{}}{}\n", left, "", indent, help);
  return fmt::format("  {:{}}{}\n", left, indent - 2, help);
}

size_t help_indent(const std::deque<Option>& table) {
  size_t widest = 0;
  for (const Option& option : table) {
    const size_t width = left_column(option).size();
    if (width <= names_width_max) widest = std::max(widest, width);
  }
  return widest + 4;
}

// troff takes a hyphen for a line break's, a backslash for a command and a dot in front for one.
std::string for_man(std::string_view text) {
  std::string escaped = text.starts_with('.') ? "\\&" : "";
  for (char c : text) {
    if (c == '-')
      escaped += "\\-";
    else if (c == '\\')
      escaped += "\\e";
    else
      escaped += c;
  }
  return escaped;
}

}  // namespace

std::string Options::help() const {
  std::string text = fmt::format("usage: wiretape {} {}\n\n", subcommand_, usage_);
  text += wrapped(purpose_, 0) + "\n\nexamples:\n";
  for (const auto& [what, command] : examples_)
    text += fmt::format("  # {}\n  {}\n", what, command);
  const size_t indent = help_indent(table_);
  const std::string* title = nullptr;
  for (const Option& option : table_) {
    if (title == nullptr || *title != option.section) {
      text += fmt::format("\n{}:\n", option.section.empty() ? "options" : option.section);
    }
    title = &option.section;
    text += row(option, indent);
  }
  return text;
}

std::string Options::words() const {
  std::string lines;
  for (const Option& option : table_) {
    if (option.positional()) continue;
    lines += fmt::format("{}\t{}\t{}\n", option.long_name(), option.metavar, option.help);
  }
  return lines;
}

std::string Options::manual() const {
  std::string text =
      fmt::format(".SS wiretape {} {}\n{}\n", subcommand_, for_man(usage_), for_man(purpose_));
  for (const Option& option : table_) {
    if (option.section == common_section) continue;
    std::string left = left_column(option);
    left.erase(0, left.find_first_not_of(' '));
    text += fmt::format(".TP\n.B {}\n{}\n", for_man(left), for_man(option.help));
  }
  for (const auto& [what, command] : examples_) {
    text += fmt::format(".PP\nExample: {}\n.PP\n.RS\n.EX\n{}\n.EE\n.RE\n", for_man(what),
                        for_man(command));
  }
  return text;
}

}  // namespace wiretape
