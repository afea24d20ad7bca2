// UTF-8 as RFC 3629 defines it, for text off the wire that goes where only UTF-8 may.
#pragma once

#include <cstddef>
#include <string_view>

namespace wiretape {

// The length in bytes, 1 to 4, of the character that `text` begins with; 0 when it begins with
// none. `text` is not empty. From any thread.
size_t utf8_length(std::string_view text);

}  // namespace wiretape
