// wiretape replay: the command line of a run. What runs is in replayer/; here flags become
// options, and a report becomes text, JSON and an exit status.
//
//   flags -> ReplayOptions -> replay() -> RunReport -> summary on stdout, --json, exit status
//
// With `--json -` the JSON takes standard output and the summary goes to standard error, so that
// a script can read the one and a person the other.
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/log.h"
#include "cli/command.h"
#include "cli/dry_run.h"
#include "cli/options.h"
#include "cli/progress.h"
#include "replayer/replayer.h"

namespace wiretape {
namespace {

constexpr double speed_least = 0.001;
constexpr int speed_most = 1'000'000;

struct ReplayFlags {
  ReplayOptions run;
  std::string json;
  std::string fail_on = "diff";
  bool no_compare = false;
  int64_t lateness_max_ns = -1;  // -1: any
  bool dry_run = false;
  std::string pace = "recorded";
};

Result<void> set_speed(std::string_view text, ReplayOptions& run) {
  run.speed_text = text;
  if (text == "max") {
    run.speed = Speed::max();
    return {};
  }
  const auto factor = parse_number(text, speed_least, speed_most);
  if (!factor) {
    return Error{ErrorSource::usage,
                 fmt::format("\"{}\" is not a number above 0, or max ({} to {})", text, speed_least,
                             speed_most)};
  }
  run.speed = Speed::times(*factor);
  return {};
}

// What stands behind "header:", when it does.
std::optional<std::string_view> header_in(std::string_view what) {
  constexpr std::string_view prefix = "header:";
  if (!what.starts_with(prefix) || what.size() == prefix.size()) return std::nullopt;
  return what.substr(prefix.size());
}

Result<void> set_ignore(std::string_view what, CompareOptions& compare) {
  constexpr std::string_view json = "json:";
  if (what == "status") {
    compare.ignore_status = true;
    return {};
  }
  if (const auto glob = header_in(what)) {
    compare.headers.ignore(*glob);
    return {};
  }
  if (what.starts_with(json)) {
    auto path = JsonPath::parse(what.substr(json.size()));
    if (!path) return path.error();
    compare.ignored_json.push_back(std::move(*path));
    return {};
  }
  return Error{ErrorSource::usage,
               fmt::format("\"{}\" is none of status, header:NAME and json:$.path", what)};
}

Result<void> set_match(std::string_view what, CompareOptions& compare) {
  if (const auto name = header_in(what)) {
    compare.headers.match(*name);
    return {};
  }
  return Error{ErrorSource::usage, fmt::format("\"{}\" is not header:NAME", what)};
}

void describe_comparing(Options& options, ReplayFlags* flags) {
  CompareOptions& compare = flags->run.compare;
  options.flag("--no-compare", "do not compare answers with the recorded ones", &flags->no_compare);
  options
      .custom("--ignore", "WHAT",
              "leave out of comparing: status, header:NAME (a glob), json:$.path ($.user.id, "
              "$.items[0], $.items[*].at, $.*); may be repeated",
              [&compare](std::string_view what) { return set_ignore(what, compare); })
      .repeatable = true;
  options
      .custom("--match", "header:NAME",
              "compare a header that is left out because it always varies, such as Date; may be "
              "repeated",
              [&compare](std::string_view what) { return set_match(what, compare); })
      .repeatable = true;
  options.choice("--fail-on", "what makes the exit status 1: diff, error or never (diff)",
                 {"diff", "error", "never"}, &flags->fail_on);
  options.duration("--lateness-max",
                   "exit with 1 when the p99 of our own lateness is above it, with --fail-on never "
                   "as well (any)",
                   &flags->lateness_max_ns);
  options.text("--json", "FILE", "write the report as JSON; - is standard output", &flags->json);
  options.text("-o,--output", "TAPE", "record the run itself on this tape; - is standard output",
               &flags->run.run_tape.path);
  options.flag("-f,--force", "overwrite an existing TAPE of -o", &flags->run.run_tape.overwrite);
}

void describe_safety(Options& options, ReplayFlags* flags) {
  GuardOptions& guard = flags->run.guard;
  options.flag("--dry-run", "say what would be sent to where, and send nothing", &flags->dry_run);
  options
      .custom("--allow-host", "GLOB",
              "hosts that may be sent writes though they are public; may be repeated",
              [&guard](std::string_view glob) -> Result<void> {
                if (auto checked = check_allow_host(glob); !checked) return checked;
                guard.allow_hosts.emplace_back(glob);
                return {};
              })
      .repeatable = true;
  options.flag("--allow-recorded-upstream", "the target may be the server that was recorded",
               &guard.allow_recorded_upstream);
}

void describe_rewriting(Options& options, RewriteOptions& rewrite) {
  options.custom("--host", "recorded|target|VALUE", "the Host field of requests (recorded)",
                 [&rewrite](std::string_view value) { return set_host(rewrite, value); });
  options
      .custom("--set-header", "'Name: value'",
              "set a field in requests: in its place, or behind the others; may be repeated",
              [&rewrite](std::string_view field) { return add_set_header(rewrite, field); })
      .repeatable = true;
  options
      .custom("--remove-header", "NAME", "remove a field from requests; may be repeated",
              [&rewrite](std::string_view name) { return add_remove_header(rewrite, name); })
      .repeatable = true;
}

void describe(Options& options, ReplayFlags* flags) {
  ReplayOptions& run = flags->run;
  options.usage("TAPE --target ADDR");
  options.example("replay to a new version of the server, and see what it answers differently",
                  "wiretape replay session.tape --target localhost:3001");
  options.example("as fast as order allows, with a report for a script",
                  "wiretape replay session.tape --target :3001 --speed max --json report.json");
  options.positional("TAPE", "the tape; - is standard input", &run.tape);
  options.endpoint("--target", "the server to replay to", PortZero::refused, &run.target)
      .required();
  options.custom("--speed", "N|max", "how much faster than recorded (1)",
                 [&run](std::string_view text) { return set_speed(text, run); });
  options.choice("--pace",
                 "what a send follows: the recorded clock, or the answer before it and the think "
                 "time: recorded or think (recorded)",
                 {"recorded", "think"}, &flags->pace);
  options.duration("--from",
                   "leave out what begins earlier, counted from the tape's first record (0s)",
                   &run.stretch.from_ns);
  options.duration("--to",
                   "leave out what begins then or later, counted from there, too (the tape's end)",
                   &run.stretch.to_ns);
  options.flag("--precise", "spin before due times instead of sleeping: truer, takes a processor",
               &run.precise);
  options.integer("--connections-max",
                  "how many may be open at a time; more wait (what descriptors allow)",
                  &run.connections_max, 1);
  options.integer("--loop", "how often the tape is played, each time behind the time before (1)",
                  &run.loops, 1);
  options.duration("--timeout", "end a connection without progress for so long (30s)",
                   &run.timeout_ns);
  describe_safety(options, flags);
  describe_rewriting(options, run.rewrite);
  describe_comparing(options, flags);
  options.mistaken("--upstream", "--target");
  options.mistaken("-t", "--target");
  options.not_built({"--clones", "--filter", "--rewrite", "--junit", "--html"});
}

// Whether both names lead to one file that is there, by whatever path or link.
bool same_file(const std::string& a, const std::string& b) {
  if (a.empty() || b.empty() || a == "-" || b == "-") return false;
  std::error_code not_there;
  return a == b || std::filesystem::equivalent(a, b, not_there);
}

// A run must not write over what it reads, nor twice into one place.
std::string contradiction_of_files(const ReplayFlags& flags) {
  const std::string& output = flags.run.run_tape.path;
  constexpr std::string_view overwritten =
      "{}: {} is the tape that is to be replayed (name another file)";
  if (same_file(output, flags.run.tape)) return fmt::format(overwritten, "-o", output);
  if (same_file(flags.json, flags.run.tape)) return fmt::format(overwritten, "--json", flags.json);
  const bool both_to_stdout = output == "-" && flags.json == "-";
  if (both_to_stdout || same_file(output, flags.json)) {
    return "-o and --json would both write to " + (both_to_stdout ? "standard output" : output) +
           ": give them two names";
  }
  if (flags.dry_run && !output.empty()) return "--dry-run records nothing: leave out -o";
  if (output.empty() && flags.run.run_tape.overwrite) return "-f goes with -o TAPE";
  return "";
}

// What no single flag can be blamed for; empty when all is well.
std::string contradiction(const ReplayFlags& flags) {
  const std::string& scheme = flags.run.target.scheme;
  if (scheme == "https" || scheme == "tls") return "--target: TLS is not in this version";
  const Stretch& stretch = flags.run.stretch;
  if (stretch.from_ns >= stretch.to_ns) {
    return "--from has to come before --to: nothing lies between them";
  }
  if (!stretch.is_all() && flags.run.loops > 1)
    return "--loop plays whole tapes: not with --from or --to";
  if (flags.run.timeout_ns == 0) return "--timeout: 0 would end every connection at once";
  if (const auto rewriting = check_rewriting(flags.run.rewrite); !rewriting) {
    return rewriting.error().message;
  }
  return contradiction_of_files(flags);
}

bool write_all(int fd, std::string_view text) {
  while (!text.empty()) {
    const ssize_t n = ::write(fd, text.data(), text.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return false;
    text.remove_prefix(static_cast<size_t>(n));
  }
  return true;
}

// What is in the way of a new file, with what to do about it; empty when nothing is.
std::string obstacle_in_folder(const std::filesystem::path& folder) {
  if (::access(folder.c_str(), F_OK) != 0) {
    return fmt::format("there is no folder {} (make it first)", folder.native());
  }
  if (::access(folder.c_str(), W_OK | X_OK) == 0) return "";
  return fmt::format("{} (name a folder that you may write in)", std::strerror(errno));
}

// The same for a file that may be there already. Asked before anything is sent: a report that
// can't be written would be noticed only when the run is over.
std::string obstacle_to_json(const std::string& path) {
  if (path.empty() || path == "-") return "";
  struct stat file {};
  if (::stat(path.c_str(), &file) != 0) {
    if (errno != ENOENT) return fmt::format("{} (name another file)", std::strerror(errno));
    const auto folder = std::filesystem::path(path).parent_path();
    return obstacle_in_folder(folder.empty() ? "." : folder);
  }
  if (S_ISDIR(file.st_mode)) return "it is a folder (name a file in it)";
  if (::access(path.c_str(), W_OK) == 0) return "";
  return fmt::format("{} (name a file that you may write)", std::strerror(errno));
}

// False when the file could not be written; says so.
bool write_json(const std::string& path, const std::string& json) {
  const int fd = path == "-" ? STDOUT_FILENO
                             : ::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
  const bool written = fd >= 0 && write_all(fd, json);
  if (!written) fail("cannot write {}: {}", path, std::strerror(errno));
  if (fd > STDERR_FILENO) ::close(fd);
  return written;
}

int status_of(const RunReport& report, const std::string& fail_on) {
  const bool errors = report.verdicts.errors > 0 || left_unsent(report);
  const bool differs = errors || report.verdicts.different > 0 || nothing_compared(report);
  const bool fails = fail_on == "diff" ? differs : fail_on == "error" && errors;
  return fails ? exit_status::differs : exit_status::done;
}

// A run that was not true to its times proves little, whatever was the same; says so.
bool is_late(const RunReport& report, int64_t max_ns) {
  const Histogram& ours = report.tally.lateness_by_cause[static_cast<size_t>(Cause::us)];
  const int64_t p99_ns = ours.percentile(0.99);
  if (max_ns < 0 || p99_ns <= max_ns) return false;
  fail(
      "our own lateness was {:.3f} ms at p99 of {} sends, more than --lateness-max {:.3f} ms (a "
      "quieter machine or --precise helps)",
      static_cast<double>(p99_ns) / ns_per_ms, ours.count(),
      static_cast<double>(max_ns) / ns_per_ms);
  return true;
}

// What the tape lacks.
void warn_of_damage(const RunReport& report) {
  if (report.damages > 0) {
    warn(
        "{} is damaged at {} place{}, {} block{} lost; what is whole was replayed (wiretape verify "
        "says what is lost)",
        report.tape, report.damages, report.damages == 1 ? "" : "s", report.blocks_lost,
        report.blocks_lost == 1 ? "" : "s");
  }
  if (report.torn) {
    warn("{} ends without its trailer: the recording was cut off, or the copy is not all there",
         report.tape);
  }
  if (report.connections_not_recorded > 0) {
    warn("{} lacks {} connection{} that came when nothing could be recorded", report.tape,
         report.connections_not_recorded, report.connections_not_recorded == 1 ? "" : "s");
  }
}

// On standard output, unless the JSON or the run's tape is there.
void print_summary(const ReplayFlags& flags, const std::string& summary, bool quiet) {
  if (flags.json != "-" && flags.run.run_tape.path != "-") {
    std::fputs(summary.c_str(), stdout);
    std::fflush(stdout);
  } else if (!quiet) {
    std::fputs(summary.c_str(), stderr);
  }
}

// False when not all of the run is on its tape; says so. A tape whose disk hangs is left torn, with
// a thread that can't be waited for.
bool run_tape_is_whole(const RunTapeEnd& end) {
  switch (end.outcome) {
    case Recorder::Outcome::whole:
      return true;
    case Recorder::Outcome::incomplete:
      fail("{} is not complete: {} bytes and the times of {} sends of this run were not recorded",
           end.path, end.bytes_not_recorded, end.sends_not_recorded);
      return false;
    case Recorder::Outcome::hanging:
      fail("{} does not take what is left to write: leaving it torn", end.path);
      std::fflush(nullptr);
      ::_exit(exit_status::differs);
  }
  return false;
}

// Whatever the report says, a tape with passwords on it is to be kept as such.
void warn_of_credentials(const RunTapeEnd& end) {
  if (end.exchanges_with_credentials == 0) return;
  warn("{} holds credentials (in {} of its exchanges): keep it as you keep passwords", end.path,
       end.exchanges_with_credentials);
}

int failed(const Error& error) {
  fail("{}", error.message);
  return error.source == ErrorSource::usage ? exit_status::usage : exit_status::could_not;
}

int report_dry_run(const ReplayFlags& flags, bool quiet) {
  const auto dry = dry_run(flags.run);
  if (!dry) return failed(dry.error());
  print_summary(flags, dry_run_text(*dry), quiet);
  if (!flags.json.empty() && !write_json(flags.json, dry_run_json(*dry))) {
    return exit_status::could_not;
  }
  if (dry->refusal.empty()) return exit_status::done;
  return failed({ErrorSource::usage, dry->refusal});
}

int run_and_report(ReplayFlags& flags, bool quiet) {
  if (stderr_is_terminal() && !quiet) flags.run.on_progress = show_progress;
  const auto report = replay(flags.run);
  set_status_line("");
  if (!report) return failed(report.error());
  warn_of_damage(*report);
  print_summary(flags, summary_of(*report), quiet);
  if (!flags.json.empty() && !write_json(flags.json, json_of(*report))) {
    return exit_status::could_not;
  }
  if (report->run_tape) warn_of_credentials(*report->run_tape);
  const bool taped = !report->run_tape || run_tape_is_whole(*report->run_tape);
  const bool late = is_late(*report, flags.lateness_max_ns);
  return taped && !late ? status_of(*report, flags.fail_on) : exit_status::differs;
}

}  // namespace

int replay_main(const Arguments& arguments) {
  ReplayFlags flags;
  Options options("replay", "Plays the client's side of a tape again, against another server.");
  describe(options, &flags);
  if (const auto status = options.parse(arguments)) return *status;
  flags.run.compare.enabled = !flags.no_compare;
  flags.run.pace = flags.pace == "think" ? Pace::think : Pace::recorded;
  if (const std::string what = contradiction(flags); !what.empty()) return options.refuse(what);
  if (const std::string what = obstacle_to_json(flags.json); !what.empty()) {
    fail("cannot write {}: {}", flags.json, what);
    return exit_status::could_not;
  }
  const bool quiet = options.verbosity() < 0;
  return flags.dry_run ? report_dry_run(flags, quiet) : run_and_report(flags, quiet);
}

}  // namespace wiretape
