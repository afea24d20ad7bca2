// Shell completion. The scripts are small because they know nothing: at each TAB they ask the
// program itself, which prints the words from its option tables. So they are never out of date.
//
//   wiretape sh<TAB>                  the table of subcommands (written into the script)
//   wiretape record --ov<TAB>         wiretape record --describe=words, first column
//   wiretape record --overload <TAB>  second column: "wait|skip"; else file names
#include <cstdio>
#include <string>

#include "cli/options.h"
#include "cli/text.h"

namespace wiretape {
namespace {

constexpr std::string_view bash_script = R"script(# bash completion; put it into your shell with:
#   source <(wiretape completion bash)
_wiretape() {
  local current="${COMP_WORDS[COMP_CWORD]}" before="${COMP_WORDS[COMP_CWORD - 1]}"
  COMPREPLY=()
  if ((COMP_CWORD == 1)); then
    COMPREPLY=($(compgen -W "@NAMES@ --help --version" -- "$current"))
    return
  fi
  local table words
  table=$(wiretape "${COMP_WORDS[1]}" --describe=words 2>/dev/null) || return
  if [[ $current == -* ]]; then
    words=$(cut -f1 <<<"$table")
  else
    words=$(awk -F'\t' -v flag="$before" '$1 == flag && $2 ~ /\|/ {gsub(/\|/, " ", $2); print $2}' \
      <<<"$table")
  fi
  [[ -n $words ]] && COMPREPLY=($(compgen -W "$words" -- "$current"))
}
complete -o default -F _wiretape wiretape
)script";

constexpr std::string_view zsh_script = R"script(#compdef wiretape
# zsh completion; put it into your shell with:
#   source <(wiretape completion zsh)
_wiretape() {
  if ((CURRENT == 2)); then
    compadd -- @NAMES@ --help --version
    return
  fi
  local table
  table=$(wiretape "$words[2]" --describe=words 2>/dev/null) || return
  if [[ $words[CURRENT] == -* ]]; then
    compadd -- ${(f)" $(cut - f1 < < < "$table") "}
    return fi local values values =
        $(awk - F '\t' - v flag = "$words[CURRENT-1]" '$1 == flag && $2 ~ /\|/ {print $2}' < < <
                                  "$table") if[[-n $values]];
then compadd-- $ {
  (s : | :) values
}
else _files fi
}
(( $+functions[compdef] )) && compdef _wiretape wiretape
)script";

constexpr std::string_view fish_script = R"script(# fish completion; put it into your shell with:
#   wiretape completion fish | source
function __wiretape_flags
  set -l words (commandline -opc)
  wiretape $words[2] --describe=words 2>/dev/null | string replace -r '\t.*\t' '\t'
end
complete -c wiretape -n __fish_use_subcommand -f -a '@NAMES@'
complete -c wiretape -n 'not __fish_use_subcommand; and string match -q -- "-*" (commandline -ct)' \
  -f -a '(__wiretape_flags)'
)script";

// The script with the names of the subcommands in it.
std::string with_names(std::string_view script) {
  constexpr std::string_view place = "@NAMES@";
  std::string names;
  for (const Command& command : commands()) {
    if (!names.empty()) names += ' ';
    names += command.name;
  }
  std::string text(script);
  return text.replace(text.find(place), place.size(), names);
}

}  // namespace

int completion_main(const Arguments& arguments) {
  std::string shell;
  Options options("completion", "Prints a script that lets a shell complete our command lines.");
  options.usage("bash|zsh|fish");
  options.example("for this bash", "source <(wiretape completion bash)");
  options.example("for every zsh", "wiretape completion zsh > ~/.zfunc/_wiretape");
  options.positional("SHELL", "bash, zsh or fish", &shell);
  if (auto status = options.parse(arguments)) return *status;
  if (shell == "bash") return put_text(with_names(bash_script)), exit_status::done;
  if (shell == "zsh") return put_text(with_names(zsh_script)), exit_status::done;
  if (shell == "fish") return put_text(with_names(fish_script)), exit_status::done;
  return options.refuse("SHELL: \"" + shell + "\" is not one of bash|zsh|fish");
}

}  // namespace wiretape
