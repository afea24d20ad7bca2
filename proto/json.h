// Writes JSON, one value after the other, in the order of the calls.
//
//   JsonWriter json;
//   json.begin_object().field("method", "GET").field("status", 200).end_object();
//   json.take();  // {"method":"GET","status":200}
//
// Whatever bytes a string holds, the output is valid JSON in valid UTF-8: a byte that is not part
// of a UTF-8 character becomes U+FFFD.
#pragma once

#include <concepts>
#include <string>
#include <string_view>
#include <vector>

namespace wiretape {

class JsonWriter {
 public:
  enum class Layout { one_line, indented };
  explicit JsonWriter(Layout layout = Layout::one_line) : layout_(layout) {}

  JsonWriter& begin_object() { return begin('{'); }
  JsonWriter& end_object() { return end('}'); }
  JsonWriter& begin_list() { return begin('['); }
  JsonWriter& end_list() { return end(']'); }
  JsonWriter& key(std::string_view name);

  JsonWriter& value(std::string_view text);
  JsonWriter& value(const char* text) { return value(std::string_view(text)); }
  JsonWriter& value(bool truth) { return literal(truth ? "true" : "false"); }
  JsonWriter& value(std::integral auto number) { return literal(std::to_string(number)); }
  JsonWriter& null() { return literal("null"); }

  template <typename Value>
  JsonWriter& field(std::string_view name, const Value& of) {
    return key(name).value(of);
  }

  // What was written so far, which is then forgotten.
  std::string take();
  // True when every object and list that was begun is ended.
  bool complete() const { return open_.empty(); }

 private:
  // Invariant: a key is always followed by its value before the next key.
  struct Level {
    char close;
    bool empty = true;
  };
  JsonWriter& begin(char open);
  JsonWriter& end(char close);
  JsonWriter& literal(std::string_view text);
  void before_item();
  void new_line();

  Layout layout_;
  std::string text_;
  std::vector<Level> open_;
  bool after_key_ = false;
};

// `text` between quotes, escaped.
std::string json_string(std::string_view text);

}  // namespace wiretape
