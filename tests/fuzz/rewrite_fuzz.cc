// Whatever a client sends, and however it is split: where no rule fits, the bytes are those that
// came. As long as all of it is HTTP, a split changes nothing, and rewriting what was rewritten
// changes nothing more.
//
// The first byte is the size of the pieces; the rest is the client's stream.
#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "replayer/conversation.h"
#include "replayer/rewrite.h"

using namespace wiretape;

namespace {

struct NoListener final : ConversationListener {
  void on_exchange(uint64_t, const Exchange&) override {}
};

struct Outcome {
  std::string sent;
  bool all_http = false;  // and no head is left unfinished
};

// As a recorded connection drives it.
Outcome rewritten(const RewriteRules& rules, std::string_view text, size_t piece) {
  NoListener listener;
  Conversation conversation(1, listener);
  RewriteTally tally;
  Rewriter rewriter(rules, tally);
  Outcome outcome;
  size_t heads = 0;
  for (; !text.empty(); text.remove_prefix(std::min(piece, text.size()))) {
    const std::string copy(text.substr(0, piece));  // so that reading beyond it is found
    const Bytes chunk = as_bytes(copy);
    conversation.chunk(Direction::client_to_server, 0, chunk);
    heads += conversation.heads_ended().size();
    const Bytes opaque = conversation.opaque_part(Direction::client_to_server, chunk);
    const HeadBounds bounds{conversation.begun(), conversation.heads_ended()};
    outcome.sent += as_text(rewriter.next(chunk.first(chunk.size() - opaque.size()), bounds));
    if (!opaque.empty()) outcome.sent += as_text(rewriter.flush());
    outcome.sent += as_text(rewriter.next(opaque, bounds));
  }
  outcome.sent += as_text(rewriter.flush());
  outcome.all_http =
      !conversation.is_opaque(Direction::client_to_server) && heads == conversation.requests();
  return outcome;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  const std::string recorded(reinterpret_cast<const char*>(data) + 1, size - 1);
  const size_t piece = data[0] + size_t{1};
  if (rewritten({{"No-Such-Field-Is-There", {}}}, recorded, piece).sent != recorded) abort();
  const RewriteRules rules{{"Host", "x"}, {"A", {}}, {"B", ""}};
  const Outcome whole = rewritten(rules, recorded, recorded.size() + 1);
  if (!whole.all_http) return 0;
  if (rewritten(rules, recorded, piece).sent != whole.sent) abort();
  const Outcome again = rewritten(rules, whole.sent, piece);
  if (!again.all_http || again.sent != whole.sent) abort();
  return 0;
}
