// A replay sends what was recorded, but a target may be called otherwise, or need another token. So
// heads, and nothing else, can be changed on their way. Where a head begins and ends is not decided
// here but by the parser that made the schedule, so that bodies, upgraded streams and other
// protocols cannot be taken for heads, whatever they look like:
//
//   recorded  GET / HTTP/1.1|Host: a|Cook|ie: b||body...GET / HTTP/1.1|...
//   begun     ^                                         ^
//   ended                                       ^
//   sent      as it is       |Host: x|   |      |as it is
//                                      ^ held until its line is whole
//
// Chunks stay chunks: what comes out for one goes when it went. Only a field's line that a chunk
// breaks off goes with the chunk that completes it, because its name may decide what becomes of it.
#include "replayer/rewrite.h"

#include <algorithm>
#include <cassert>
#include <utility>

namespace wiretape {
namespace {

bool has(std::span<const uint64_t> offsets, uint64_t offset) {
  return std::binary_search(offsets.begin(), offsets.end(), offset);
}

uint64_t next_after(std::span<const uint64_t> offsets, uint64_t offset) {
  const auto found = std::upper_bound(offsets.begin(), offsets.end(), offset);
  return found == offsets.end() ? UINT64_MAX : *found;
}

// Where the line's end begins: "\r\n" or "\n".
size_t text_length(std::string_view line) {
  size_t length = line.size();
  if (length > 0 && line[length - 1] == '\n') --length;
  if (length > 0 && line[length - 1] == '\r') --length;
  return length;
}

// No field begins so. Parsers differ in what they let follow a CR here, so nothing more is asked.
bool is_empty_line(std::string_view line) {
  return line.front() == '\r' || line.front() == '\n';
}

std::string_view name_of(std::string_view line) {
  const std::string_view name = line.substr(0, line.find(':'));
  return name.substr(0, name.find_last_not_of(" \t") + 1);
}

}  // namespace

Rewriter::Rewriter(const RewriteRules& rules, RewriteTally& tally) : rules_(rules), tally_(tally) {
  tally_.by_rule.resize(rules_.size());
}

std::vector<std::byte> Rewriter::next(Bytes bytes, HeadBounds bounds) {
  while (!bytes.empty()) {
    if (part_ == Part::outside && has(bounds.begun, offset_)) begin_head();
    const bool in_head = part_ != Part::outside;
    const uint64_t stop = next_after(in_head ? bounds.ended : bounds.begun, offset_);
    const Bytes piece = bytes.first(std::min<uint64_t>(stop - offset_, bytes.size()));
    in_head ? head_bytes(piece) : put(as_text(piece));
    offset_ += piece.size();
    bytes = bytes.subspan(piece.size());
    if (in_head && has(bounds.ended, offset_)) end_head();
  }
  assert(part_ == Part::fields || held_.empty());
  return std::exchange(out_, {});
}

std::vector<std::byte> Rewriter::flush() {
  part_ = Part::outside;
  put(std::exchange(held_, {}));
  return std::exchange(out_, {});
}

void Rewriter::begin_head() {
  part_ = Part::request_line;
  counts_ = tally_.counts_now();
  current_.reset();
  met_.assign(rules_.size(), false);
  changed_.assign(rules_.size(), false);
}

void Rewriter::end_head() {
  part_ = Part::outside;
  if (!held_.empty()) line(std::exchange(held_, {}));
  if (current_) line("\r\n");  // a parser's lenience took the last field's line for the end, too
  if (!counts_) return;
  for (size_t i = 0; i < rules_.size(); ++i) tally_.by_rule[i] += changed_[i];
  tally_.requests += std::count(changed_.begin(), changed_.end(), true) > 0;
}

void Rewriter::head_bytes(Bytes bytes) {
  for (std::string_view rest = as_text(bytes); !rest.empty();) {
    const size_t end = rest.find('\n');
    const bool ends_line = end != std::string_view::npos;
    const std::string_view piece = rest.substr(0, ends_line ? end + 1 : end);
    rest.remove_prefix(piece.size());
    if (part_ == Part::fields) {
      field_bytes(piece, ends_line);
    } else {
      put(piece);
      if (ends_line) part_ = Part::fields;
    }
  }
}

void Rewriter::field_bytes(std::string_view piece, bool ends_line) {
  if (ends_line && held_.empty()) return line(piece);
  held_.append(piece);
  if (ends_line) line(std::exchange(held_, {}));
}

void Rewriter::line(std::string_view line) {
  const bool is_folded = line.front() == ' ' || line.front() == '\t';
  if (is_empty_line(line)) {
    add_missing();
    put(line);
    current_.reset();
  } else if (!is_folded) {
    field(line);
  } else if (current_) {
    changed(*current_, line, "");
  } else {
    put(line);
  }
}

void Rewriter::field(std::string_view line) {
  const auto rule = std::find_if(rules_.begin(), rules_.end(), [&](const RewriteRule& candidate) {
    return candidate.fits(name_of(line));
  });
  current_.reset();
  if (rule == rules_.end()) return put(line);
  current_ = static_cast<size_t>(rule - rules_.begin());
  apply(*current_, line);
}

void Rewriter::apply(size_t rule, std::string_view line) {
  const bool is_kept = rules_[rule].value && !met_[rule];
  met_[rule] = true;
  if (!is_kept) return changed(rule, line, "");
  const std::string text = rules_[rule].line();
  if (line != text + "\r\n") changed(rule, line, text);
  put(text);
  put("\r\n");
}

// Parsers that take a bare LF in some places do not in all, so what is new ends as it should.
void Rewriter::add_missing() {
  for (size_t i = 0; i < rules_.size(); ++i) {
    if (met_[i] || !rules_[i].value) continue;
    const std::string text = rules_[i].line();
    changed(i, "", text);
    put(text);
    put("\r\n");
  }
}

void Rewriter::changed(size_t rule, std::string_view before, std::string_view after) {
  changed_[rule] = true;
  if (tally_.example || !counts_) return;
  tally_.example = {std::string(before.substr(0, text_length(before))), std::string(after)};
}

void Rewriter::put(std::string_view text) {
  const Bytes bytes = as_bytes(text);
  out_.insert(out_.end(), bytes.begin(), bytes.end());
}

}  // namespace wiretape
