// wiretape record: binds, creates the tape, says that it is ready, runs the COMMAND if there is
// one, and ends in good order, whoever asks for it.
//
//   bind -> tape -> ready -> [command] -> running --signal, command's end, disk--> draining ->
//   ended
//
// The order of the first three matters: nothing is written before the port is ours, and nobody is
// let in before the tape's header is on disk.
#include <unistd.h>

#include <csignal>
#include <cstdlib>
#include <memory>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/log.h"
#include "base/loop.h"
#include "base/process.h"
#include "base/signal.h"
#include "base/timer.h"
#include "cli/command.h"
#include "cli/options.h"
#include "cli/text.h"
#include "proxy/proxy.h"
#include "recorder/recorder.h"

namespace wiretape {
namespace {

constexpr int64_t hang_patience_ns = 10 * ns_per_s;

struct RecordFlags {
  std::vector<Endpoint> listen;
  std::vector<Endpoint> upstream;
  std::string output;
  bool force = false;
  bool raw = false;
  size_t threads = 1;
  std::string overload = "wait";
  std::string on_record_error = "continue";
  int level = RecorderOptions::level_default;
  int64_t drain_ns = 5 * ns_per_s;
  int64_t idle_timeout_ns = 0;
  int64_t connect_timeout_ns = 5 * ns_per_s;
  size_t connections_max = 0;
  std::vector<std::string> command;
};

void describe(Options& options, RecordFlags* flags) {
  options.usage("--listen ADDR --upstream ADDR -o TAPE [-- COMMAND ARGS...]");
  options.example("record what clients say to the server on port 3000, until Ctrl-C",
                  "wiretape record --listen :8080 --upstream localhost:3000 -o session.tape");
  options.example("record one test run, in CI",
                  "wiretape record --listen :0 --upstream app:3000 -o ci.tape -- npm test");
  options
      .endpoints("--listen", "where clients connect; port 0 picks one; may be repeated",
                 PortZero::allowed, &flags->listen)
      .required();
  options
      .endpoints("--upstream", "where their bytes go; one for each --listen", PortZero::refused,
                 &flags->upstream)
      .required();
  options.text("-o,--output", "TAPE", "the tape to write; - is standard output", &flags->output)
      .required();
  options.flag("-f,--force", "overwrite an existing tape", &flags->force);
  options.flag("--raw", "record bytes only, do not look for HTTP exchanges", &flags->raw);
  options.integer("--compress", "zstd level of the tape, -20 to 19; 0 stores; less in bulk (-3)",
                  &flags->level, -20, 19);
  options.choice("--overload",
                 "when the recorder is behind: wait (pause reading) or skip (leave a gap) (wait)",
                 {"wait", "skip"}, &flags->overload);
  options.choice("--on-record-error", "when the disk fails: continue or stop (continue)",
                 {"continue", "stop"}, &flags->on_record_error);
  options.integer("--threads", "loops that relay (1)", &flags->threads, 1, 64);
  options.integer("--connections-max", "most connections at a time; others wait",
                  &flags->connections_max, 1);
  options.duration("--connect-timeout", "for connecting to the upstream (5s)",
                   &flags->connect_timeout_ns);
  options.duration("--idle-timeout", "end connections silent for so long (never)",
                   &flags->idle_timeout_ns);
  options.duration("--drain", "how long open connections may go on after a signal (5s)",
                   &flags->drain_ns);
  options.command(&flags->command);
  options.not_built({"--pcap", "--filter", "--redact", "--fsync", "--rotate", "--append",
                     "--transparent", "--socks5", "--http-proxy", "--tls-cert", "--tls-key",
                     "--tls-intercept", "--keylog"});
}

// What no single flag can be blamed for; empty when all is well.
std::string contradiction(const RecordFlags& flags) {
  if (flags.listen.size() != flags.upstream.size()) {
    return fmt::format("{} --listen but {} --upstream: give them in pairs", flags.listen.size(),
                       flags.upstream.size());
  }
  for (const auto* endpoints : {&flags.listen, &flags.upstream}) {
    for (const Endpoint& endpoint : *endpoints) {
      if (endpoint.scheme == "https" || endpoint.scheme == "tls") {
        return fmt::format("{}://{}: TLS is not in this version", endpoint.scheme, endpoint.text());
      }
    }
  }
  if (flags.output == "-" && !flags.command.empty()) {
    return "-o - and a COMMAND would both write to standard output: give the tape a file name";
  }
  return "";
}

// The address a client on this machine can use: a wildcard is no address to connect to.
std::string client_address(const std::string& listener) {
  if (listener.starts_with("0.0.0.0:")) return "127.0.0.1" + listener.substr(7);
  if (listener.starts_with("[::]:")) return "[::1]" + listener.substr(4);
  return listener;
}

class RecordSession {
 public:
  explicit RecordSession(RecordFlags flags) : flags_(std::move(flags)) {}

  int run() {
    // Before the ready line: who reads it may signal at once.
    const Signal interrupt(loop_, SIGINT, [this] { on_signal(SIGINT); });
    const Signal terminate(loop_, SIGTERM, [this] { on_signal(SIGTERM); });
    const Signal hang_up(loop_, SIGHUP, [this] { on_signal(SIGTERM); });  // the terminal is gone
    if (const auto ready = get_ready(); !ready) {
      fail("{}", ready.error().message);
      return ready.error().source == ErrorSource::usage ? exit_status::usage
                                                        : exit_status::could_not;
    }
    Timer status(loop_, [this] { show_status(); });
    status.unref();
    status.start_every(stderr_is_terminal() ? ns_per_s / 2 : 10 * ns_per_s);
    start_command();
    loop_.run();
    set_status_line("");
    kill_timer_.reset();
    command_.reset();
    return close_tape();
  }

 private:
  // -------------------------------------------------------------------------- the beginning

  Result<void> get_ready() {
    auto proxy = Proxy::create(loop_, proxy_options());
    if (!proxy) return proxy.error();
    proxy_ = std::move(proxy).value();
    auto recorder = Recorder::start(recorder_options());
    if (!recorder) return recorder.error();
    recorder_ = std::move(recorder).value();
    proxy_->start(*recorder_);
    started_ns_ = monotonic_ns();
    const auto addresses = proxy_->addresses();
    for (size_t i = 0; i < addresses.size(); ++i) {
      say("recording {} -> {} to {}", addresses[i], flags_.upstream[i].text(), tape_name());
    }
    return {};
  }

  ProxyOptions proxy_options() const {
    ProxyOptions options;
    for (size_t i = 0; i < flags_.listen.size(); ++i) {
      options.pairs.push_back({flags_.listen[i], flags_.upstream[i]});
    }
    options.threads = flags_.threads;
    options.connections_max = flags_.connections_max;
    options.idle_timeout_ns = flags_.idle_timeout_ns;
    options.connect_timeout_ns = flags_.connect_timeout_ns;
    return options;
  }

  RecorderOptions recorder_options() {
    RecorderOptions options;
    options.path = flags_.output;
    if (flags_.force) options.if_exists = TapeWriter::IfExists::overwrite;
    options.level = flags_.level;
    options.index = !flags_.raw;
    options.overload = flags_.overload == "skip" ? Overload::skip : Overload::wait;
    options.loops = flags_.threads;
    const auto addresses = proxy_->addresses();
    for (size_t i = 0; i < addresses.size(); ++i) {
      options.upstreams.push_back(flags_.upstream[i].text());
      options.listeners.push_back(addresses[i] + " -> " + flags_.upstream[i].text());
    }
    if (flags_.on_record_error == "stop") {
      options.on_disk_failure = [this] { loop_.post([this] { end_for_disk(); }); };
    }
    return options;
  }

  void start_command() {
    if (flags_.command.empty()) return;
    Process::CannotStart error{};
    command_ = Process::start(
        loop_, flags_.command, environment(), [this](int status) { on_command_ended(status); },
        &error);
    if (command_) return;
    fail("{}", error.message);
    command_status_ =
        error.not_found ? exit_status::command_not_found : exit_status::command_not_executable;
    end("");
  }

  std::vector<std::pair<std::string, std::string>> environment() const {
    std::vector<std::pair<std::string, std::string>> variables;
    const auto addresses = proxy_->addresses();
    for (size_t i = 0; i < addresses.size(); ++i) {
      const std::string suffix = i == 0 ? "" : fmt::format("_{}", i);
      const std::string address = client_address(addresses[i]);
      variables.emplace_back("WIRETAPE_ADDR" + suffix, address);
      if (!flags_.listen[i].is_unix()) {
        variables.emplace_back("WIRETAPE_URL" + suffix, "http://" + address);
      }
    }
    return variables;
  }

  // -------------------------------------------------------------------------- on the way

  void show_status() const {
    const RecorderCounters c = recorder_->counters();
    const std::string line =
        fmt::format("{} connections ({} open), {} exchanges, {} bytes, not recorded: {}, {} s",
                    grouped(c.connections), proxy_->open_connections(), grouped(c.exchanges),
                    short_bytes(c.bytes[0] + c.bytes[1]), grouped(c.bytes_not_recorded),
                    seconds_text(monotonic_ns() - started_ns_));
    if (stderr_is_terminal()) {
      set_status_line(line);
    } else {
      say("{}", line);
    }
  }

  // Ctrl-C has reached the COMMAND too, so we end when it has; a SIGTERM is ours to pass on.
  void on_signal(int number) {
    if (++signals_ > 1) return end_at_once();
    if (command_ && command_->running()) {
      if (number == SIGTERM) command_->signal(SIGTERM);
      return;
    }
    end(fmt::format("ending: {} connections are open (again to end at once)",
                    proxy_->open_connections()));
  }

  void end_for_disk() {
    warn("ending, because the disk failed (--on-record-error stop)");
    if (command_ && command_->running()) command_->signal(SIGTERM);
    end("");
  }

  // A COMMAND that does not end when asked is killed, so that its status is known all the same.
  void end_at_once() {
    if (command_ && command_->running()) {
      command_->signal(SIGTERM);
      kill_timer_ = std::make_unique<Timer>(loop_, [this] { command_->signal(SIGKILL); });
      kill_timer_->start_once(2 * ns_per_s);
    }
    end("");
    proxy_->end_now();
  }

  void on_command_ended(int status) {
    command_status_ = status;
    end("");
    stop_when_all_ended();
  }

  void end(const std::string& why) {
    if (std::exchange(ending_, true)) return;
    if (!why.empty() && proxy_->open_connections() > 0) say("{}", why);
    proxy_->drain(flags_.drain_ns, [this] {
      proxy_ended_ = true;
      stop_when_all_ended();
    });
  }

  void stop_when_all_ended() {
    if (proxy_ended_ && !(command_ && command_->running())) loop_.stop();
  }

  // -------------------------------------------------------------------------- the end

  int close_tape() {
    const Recorder::Outcome outcome = recorder_->finish(hang_patience_ns);
    const RecorderCounters counters = recorder_->counters();
    summarize(counters, outcome);
    if (outcome == Recorder::Outcome::hanging) {
      fail("{} does not take what is left to write: leaving it torn", tape_name());
      std::fflush(nullptr);
      ::_exit(lost_status());  // the recorder's thread cannot be waited for
    }
    if (outcome == Recorder::Outcome::incomplete || counters.bytes_not_recorded > 0) {
      return lost_status();
    }
    return flags_.command.empty() ? exit_status::done : command_status_;
  }

  int lost_status() const {
    return flags_.command.empty() ? exit_status::differs
                                  : exit_status::command_ran_but_bytes_were_lost;
  }

  void summarize(const RecorderCounters& c, Recorder::Outcome outcome) const {
    say("{}: {} connections, {} exchanges, {} bytes client to server, {} bytes server to client, "
        "not recorded: {}",
        tape_name(), grouped(c.connections), grouped(c.exchanges), grouped(c.bytes[0]),
        grouped(c.bytes[1]),
        outcome == Recorder::Outcome::hanging ? "not known" : grouped(c.bytes_not_recorded));
    if (const uint64_t failures = proxy_->upstream_failures(); failures > 0) {
      warn("{} of the connections did not reach their upstream", grouped(failures));
    }
    if (c.stalls > 0) {
      say("reading paused {} times, {} s in all, because the recorder was behind", c.stalls,
          seconds_text(c.stalled_ns));
    }
    if (c.exchanges_with_credentials > 0) {
      warn(
          "{} holds credentials ({} exchanges with Authorization, Cookie or the like): keep it as "
          "you keep passwords (taking them out, --redact default, is not in this version)",
          tape_name(), grouped(c.exchanges_with_credentials));
    }
    if (c.connections > 0) return;
    const auto addresses = proxy_->addresses();
    for (size_t i = 0; i < addresses.size(); ++i) {
      warn("0 connections reached {}: is the client still pointed at {}?", addresses[i],
           flags_.upstream[i].text());
    }
  }

  std::string tape_name() const { return flags_.output == "-" ? "standard output" : flags_.output; }

  const RecordFlags flags_;
  Loop loop_;
  std::unique_ptr<Recorder> recorder_;
  std::unique_ptr<Proxy> proxy_;
  std::unique_ptr<Process> command_;
  std::unique_ptr<Timer> kill_timer_;
  int64_t started_ns_ = 0;
  int signals_ = 0;
  bool ending_ = false;
  bool proxy_ended_ = false;
  int command_status_ = 0;
};

}  // namespace

int record_main(const Arguments& arguments) {
  RecordFlags flags;
  Options options("record", "Records what passes between clients and a server.");
  describe(options, &flags);
  if (const auto status = options.parse(arguments)) return *status;
  if (const std::string what = contradiction(flags); !what.empty()) return options.refuse(what);
  if (!flags.command.empty()) {  // before anything is made for it
    const auto obstacle = Process::why_it_cannot_start(flags.command.front());
    if (!obstacle.message.empty()) {
      fail("{}", obstacle.message);
      return obstacle.not_found ? exit_status::command_not_found
                                : exit_status::command_not_executable;
    }
  }
  return RecordSession(std::move(flags)).run();
}

}  // namespace wiretape
