// One exchange as it was recorded and as it was replayed, whichever half comes first, until both
// are known and can be compared.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "proto/exchange.h"
#include "replayer/body_compare.h"
#include "replayer/difference.h"
#include "replayer/header_compare.h"

namespace wiretape {

struct CompareOptions {
  bool enabled = true;
  bool ignore_status = false;
  HeaderRules headers;
  std::vector<JsonPath> ignored_json;
};

class ExchangePair {
 public:
  using Side = StreamCompare::Side;

  // A final response, as it comes. After a side's outcome these do nothing.
  void head(Side side, const HttpHead& head);
  void body(Side side, Bytes bytes);

  // A side's outcome, once each.
  void recorded(const Exchange& exchange);
  void replayed(const Exchange& exchange);
  // `sent`: the request was, but not answered to the end. No reason is "no_answer". `status` is
  // that of the final response if one had begun, else 0.
  void replayed_not(const std::string& reason, bool sent, uint32_t status);

  bool is_known(Side side) const { return answer(side).known; }
  bool both_known() const { return answers_[0].known && answers_[1].known; }

  // The recorded answer was complete.
  bool recorded_complete() const { return answers_[0].complete; }
  // A final response had begun, at least.
  bool has_head(Side side) const { return answer(side).status != 0; }
  uint32_t recorded_status() const { return answers_[0].status; }
  bool sent() const { return sent_; }
  const std::string& failure() const { return failure_; }  // of the run; empty: answered

  // Fills in method and URL.
  void name_request(Difference& difference) const;
  // Of two answers with heads: the same by status and headers, as far as the options say.
  bool same_head(const CompareOptions& options, Difference& difference, bool bodiless) const;
  // Of two complete answers: false when they differ, and `difference` says how.
  bool same(const CompareOptions& options, Difference& difference);

  // What it takes beside itself, of which held_bytes can be given up.
  size_t memory_bytes() const;
  size_t held_bytes() const { return body_.held_bytes(); }
  void give_up_bytes() { body_.give_up_bytes(); }
  void reset();  // as new, but for some memory that is used again

 private:
  struct Answer {
    bool known = false;
    bool complete = false;
    uint32_t status = 0;
    HeaderFields fields;
  };

  Answer& answer(Side side) { return answers_[static_cast<size_t>(side)]; }
  const Answer& answer(Side side) const { return answers_[static_cast<size_t>(side)]; }
  void drop_bodies();

  // Invariant: once a side is known to have no complete answer, no body is held.
  Answer answers_[2];
  BodyCompare body_;
  bool compares_ = true;  // bodies
  bool sent_ = true;
  std::string failure_;
  std::string method_;  // of the recorded request, like the next two
  std::string target_;
  std::string authority_;
};

}  // namespace wiretape
