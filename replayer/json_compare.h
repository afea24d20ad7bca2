// Compares two JSON documents (RFC 8259) as values, and names the first that differs by its path:
// "$.user.ids[2]". The only door to nlohmann-json.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace wiretape {

// Names values in a document: "$" is all of it, ".name" or ["any name"] a member, "[0]" an element,
// ".*" every member and "[*]" every element. A value is named together with all that is in it.
class JsonPath {
 public:
  static Result<JsonPath> parse(std::string_view text);

  struct Step {
    enum class Kind : uint8_t { member, element, every_member, every_element };
    Kind kind = Kind::member;
    std::string name;
    uint64_t index = 0;
  };
  const std::vector<Step>& steps() const { return steps_; }

 private:
  std::vector<Step> steps_;
};

struct JsonComparison {
  bool same = false;
  // The first value that differs: members in order of their names, elements in theirs.
  std::string path;
  std::string recorded;  // as JSON on one line, cut when long; "(absent)" when there is none
  std::string replayed;
};

inline constexpr size_t json_depth_max = 200;
inline constexpr size_t json_bytes_max = 1024 * 1024;

// Values that a path of `ignored` names are left out. None when one of the texts is not JSON, nests
// deeper than json_depth_max, or is longer than json_bytes_max. Numbers are compared as 64-bit
// integers where both are, else as IEEE doubles; of members with one name the last one counts.
std::optional<JsonComparison> compare_json(std::string_view recorded, std::string_view replayed,
                                           const std::vector<JsonPath>& ignored);

}  // namespace wiretape
