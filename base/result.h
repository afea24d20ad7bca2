// What a function gives back that can fail: the value, or an Error that says what happened.
//
// Programmer errors are asserted; errors of the world (a port in use, a torn file, a peer that
// resets) are values. An Error names its source, because a proxy sits between parties and the
// first question is always whose fault it was. Its message is one line: what happened, to which
// address or file, and what to do next.
#pragma once

#include <cassert>
#include <string>
#include <utility>
#include <variant>

namespace wiretape {

enum class ErrorSource { downstream, upstream, target, tape, disk, usage, system };

struct Error {
  ErrorSource source;
  std::string message;  // one line, without "wiretape:" and without a full stop
};

template <typename T>
class [[nodiscard]] Result {
 public:
  Result(T value) : state_(std::in_place_index<0>, std::move(value)) {}
  Result(Error error) : state_(std::in_place_index<1>, std::move(error)) {}

  bool ok() const { return state_.index() == 0; }
  explicit operator bool() const { return ok(); }

  // Only when ok().
  T& value() & { return *checked(std::get_if<0>(&state_)); }
  const T& value() const& { return *checked(std::get_if<0>(&state_)); }
  T&& value() && { return std::move(*checked(std::get_if<0>(&state_))); }
  T& operator*() & { return value(); }
  const T& operator*() const& { return value(); }
  T&& operator*() && { return std::move(*this).value(); }
  T* operator->() { return &value(); }
  const T* operator->() const { return &value(); }

  // Only when not ok().
  const Error& error() const { return *checked(std::get_if<1>(&state_)); }

 private:
  template <typename P>
  static P* checked(P* p) {
    assert(p != nullptr && "a Result was read without being checked");
    return p;
  }

  std::variant<T, Error> state_;
};

template <>
class [[nodiscard]] Result<void> {
 public:
  Result() = default;
  Result(Error error) : error_(std::move(error)), ok_(false) {}

  bool ok() const { return ok_; }
  explicit operator bool() const { return ok_; }

  // Only when not ok().
  const Error& error() const {
    assert(!ok_);
    return error_;
  }

 private:
  Error error_{};
  bool ok_ = true;
};

}  // namespace wiretape
