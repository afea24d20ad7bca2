// Compares the header fields of two responses: by name, whatever its case; values exactly; several
// fields of one name in their order, as a list. The order of different names does not count
// (RFC 9110 section 5.3).
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "proto/exchange.h"

namespace wiretape {

// Names of fields, whatever the case of their letters.
bool same_name(std::string_view a, std::string_view b);

// Which fields count. Some never do unless asked for: those that differ between any two answers of
// the same server, and those of the connection (RFC 9110 section 7.6.1) and of framing.
class HeaderRules {
 public:
  // Leaves fields out; the glob's case does not count. Goes before match().
  void ignore(std::string_view glob);
  // Puts a field back that is left out by default.
  void match(std::string_view name);

  // `lower_name` is in lower case.
  bool leaves_out(const std::string& lower_name) const;

 private:
  std::vector<std::string> ignored_;  // globs, in lower case, as the names below
  std::vector<std::string> matched_;
};

// The fields of one response, kept until the other one is there.
class HeaderFields {
 public:
  void assign(const HttpHead& head);
  void clear();
  size_t size() const { return places_.size(); }
  std::string_view name(size_t i) const;
  std::string_view value(size_t i) const;
  // Its only value; empty when there is none, or several.
  std::string_view value_of(std::string_view lower_name) const;
  size_t memory_bytes() const { return text_.capacity() + places_.capacity() * sizeof(Place); }

 private:
  struct Place {
    uint32_t name = 0, value = 0, end = 0;
  };
  // Invariant: places_ are in order, and end within text_.
  std::string text_;
  std::vector<Place> places_;
};

struct HeaderDifference {
  std::string name;      // in lower case; the first in alphabetical order
  std::string recorded;  // its values, joined with ", "; none: "(absent)"
  std::string replayed;
  uint64_t names = 0;  // that differ
};

// Content-Length counts only when both have it and `bodiless`: a body that came is compared itself.
std::optional<HeaderDifference> compare_headers(const HeaderRules& rules,
                                                const HeaderFields& recorded,
                                                const HeaderFields& replayed, bool bodiless);

}  // namespace wiretape
