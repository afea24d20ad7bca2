// One replayed connection: carries out its actions in order, each when it is due and its gate is
// open. It uses one TCP connection to the target at a time (a link) and takes another when the
// target has closed the one before; what was sent is never sent again.
//
// Times are CLOCK_MONOTONIC nanoseconds. Not thread-safe: all on the run's loop.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <string>

#include "replayer/action.h"
#include "replayer/blame.h"
#include "replayer/ledger.h"
#include "replayer/link.h"
#include "replayer/run_context.h"

namespace wiretape {

class Connection final : private WireListener, private ConversationListener {
 public:
  // Called for each link.
  using MakeWire = std::function<std::unique_ptr<Wire>(WireListener&)>;

  Connection(ConnectionId id, RunContext& run, MakeWire make_wire);
  ~Connection() override;
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  ConnectionId id() const { return id_; }
  // The next action, in order of time; the first one opens, the last one closes or resets.
  void push(Action action);
  bool has_actions() const { return !queue_.empty(); }
  // Does all that can be done by now, and asks the pacer to be woken for the rest.
  void run();
  // Before run(), when the connection is to open at another moment than the tape says.
  void open_at(int64_t due_ns) { open_due_ns_ = due_ns; }
  // It may open now, after a limit on connections kept it from it.
  void limit_lifted();
  // Nothing more is sent; answers to what was sent are waited for. What is queued, and pushed
  // later, is accounted for as not sent.
  void stop_sending(const std::string& reason);
  // The same, and nothing is waited for either.
  void cut_off(const std::string& reason);

  // Why the first attempt to connect failed, in words; empty otherwise.
  const std::string& connect_error() const { return connect_error_; }
  // All actions were carried out or accounted for. The owner may destroy it, but not from within
  // run().
  bool finished() const { return finished_; }
  void on_finished(std::function<void()> call) { on_finished_ = std::move(call); }

 private:
  // What a step comes to: carry the action out, wait, or look at the queue again.
  enum class Next : uint8_t { go, wait, again };

  void on_connected() override;
  void on_connect_failed(const std::string& why) override;
  void on_read(Bytes bytes, int64_t arrived_ns) override;
  void on_end() override;
  void on_broken(const std::string& why) override;
  void on_flushed() override;

  void on_exchange(uint64_t request, const Exchange& exchange) override;
  bool wants_heads() const override { return run_.compare.wants_heads(); }
  void on_response_head(uint64_t request, const HttpHead& head) override;
  void on_response_body(uint64_t request, Bytes body) override;
  bool was_asked(uint64_t request) const { return link_->first_request + request < ledger_.next(); }
  void on_request_end(uint64_t request) override;
  void on_response_begin(uint64_t request, uint32_t status, bool persistent) override;
  void on_response_end(uint64_t request) override;

  bool step();
  bool is_moot(const Action& action) const;
  Next without_link(const Action& action);
  Next on_link(const Action& action);
  Next wind_up();
  bool stopping() const { return !stop_reason_.empty(); }
  Next pass_gate(const Action& action);
  Next wait_for_answers(const Action& action);
  Next wait_for_continue();
  uint64_t responses() const;

  int64_t due_ns(const Action& action) const;
  int64_t paced_due_ns(const Action& action) const;
  Next wait_for_target(int64_t due_ns, int64_t or_until_ns);
  int64_t patience_ends_ns() const;

  void perform(Action& action);
  void open(int64_t due_ns);
  void connect();
  void send(const Action& action);
  void sent();
  void pace_from(int64_t recorded_ns);
  void pop();

  void fail_connect(const std::string& why);
  void lose(const std::string& reason);
  void let_go(const std::string& reason);
  void die(const std::string& reason);
  void hang_up(bool reset);
  void discard(const Action& action);
  void finish();

  // Invariant: after the last action nothing is queued, no link is left, and the ledger waits for
  // nothing.
  ConnectionId id_;
  RunContext& run_;
  MakeWire make_wire_;
  Ledger ledger_;
  Blame blame_;
  std::unique_ptr<Link> link_;
  std::deque<Action> queue_;
  std::function<void()> on_finished_;
  bool dead_ = false;  // no link will be made any more
  bool running_ = false;
  bool finished_ = false;
  bool gate_passed_ = false;          // of the action at the front
  bool gate_held_ = false;            // it was seen closed
  bool failed_with_connect_ = false;  // it was what the failed attempt to connect was for
  bool dropping_body_ = false;        // of the request under way: it was answered before
  std::string down_reason_;           // why the last link was lost
  std::string stop_reason_;           // why nothing more is sent; empty: it is
  std::string stream_failure_;        // why its opaque stream is an error
  std::string connect_error_;

  int64_t open_due_ns_ = -1;        // -1: as recorded
  int64_t wait_began_ns_ = -1;      // for the target, of the action at the front; -1: it did not
  int64_t stopped_ns_ = 0;          // when sending was stopped
  int64_t failed_connect_ns_ = -1;  // what was due by then has failed with it
  int64_t progress_ns_ = 0;         // when something last happened
  int64_t answered_ns_ = 0;         // when it last connected, or an answer or turn was over
  int64_t last_accepted_ns_ = 0;    // by the kernel
  int64_t unit_recorded_ns_ = 0;    // when the request or turn under way began, on the tape
  int64_t unit_began_ns_ = 0;       // and here
  int64_t send_due_ns_ = 0;         // of the send under way
  int64_t send_recorded_ns_ = 0;
  uint64_t send_bytes_ = 0;
  bool send_paced_ = false;  // it had to wait for its own beginning's lateness
};

}  // namespace wiretape
