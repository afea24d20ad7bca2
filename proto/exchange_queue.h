// The exchanges of one connection that are under way, oldest first: a ring that hands out the same
// Exchange objects again and again, so that their strings' memory is used again.
//
// Invariant: the capacity is a power of two, the indexes of its exchanges are consecutive, and
// text_bytes() is the sum of their targets and authorities.
#pragma once

#include <cassert>
#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "proto/event.h"

namespace wiretape {

class ExchangeQueue {
 public:
  bool empty() const { return size_ == 0; }
  size_t size() const { return size_; }
  size_t text_bytes() const { return text_bytes_; }

  Exchange& front() { return slot(0); }
  Exchange& back() { return slot(size_ - 1); }
  Exchange& at(size_t position) {
    assert(position < size_);
    return slot(position);
  }
  Exchange& of_index(uint64_t index) { return at(index - front().index); }

  Exchange& push(ConnectionId connection, uint64_t index) {
    assert(empty() || index == back().index + 1);
    if (size_ == slots_.size()) grow();
    ++size_;
    renew(back(), connection, index);
    return back();
  }

  void pop_front() {
    text_bytes_ -= text_size(front());
    first_ = (first_ + 1) & (slots_.size() - 1);
    --size_;
    if (size_ == 0) shrink();
  }

  void pop_back() {
    text_bytes_ -= text_size(back());
    --size_;
  }

  void set_request_line(Exchange& of, std::string_view method, std::string_view target,
                        std::string_view authority) {
    text_bytes_ -= text_size(of);
    of.method = method;
    of.target = target;
    of.authority = authority;
    text_bytes_ += text_size(of);
  }

 private:
  static constexpr size_t retained_slots_max = 16;
  static constexpr size_t retained_text_bytes_max = 4096;

  static size_t text_size(const Exchange& e) { return e.target.size() + e.authority.size(); }

  Exchange& slot(size_t position) {
    assert(!slots_.empty());
    return slots_[(first_ + position) & (slots_.size() - 1)];
  }

  // As new, but for the memory of its strings.
  static void renew(Exchange& e, ConnectionId connection, uint64_t index) {
    e.connection = connection;
    e.index = index;
    for (std::string* text : {&e.method, &e.target, &e.authority}) {
      if (text->capacity() > retained_text_bytes_max) *text = std::string();
      text->clear();
    }
    e.status = e.interim_responses = 0;
    e.has_request = e.has_response = e.holds_credentials = false;
    e.request = e.response = {};
  }

  void grow() {
    std::vector<Exchange> larger(slots_.empty() ? 1 : 2 * slots_.size());
    for (size_t i = 0; i < size_; ++i) larger[i] = std::move(slot(i));
    slots_ = std::move(larger);
    first_ = 0;
  }

  void shrink() {
    if (slots_.size() > retained_slots_max) slots_ = {};
    first_ = 0;
  }

  std::vector<Exchange> slots_;
  size_t first_ = 0;
  size_t size_ = 0;
  size_t text_bytes_ = 0;
};

}  // namespace wiretape
