// One direction's parser: that it stops exactly behind heads and messages, for every framing and
// every split.
#include "proto/http1.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace wiretape {
namespace {

struct Text final : BodySink {
  void on_body(Bytes span) override { body += as_text(span); }
  std::string body;
};

struct Framing {
  const char* name;
  Http1Parser::Kind kind;
  std::string head;
  std::string rest;  // of the message, behind its head
  std::string body;  // without transfer coding
};

std::vector<Framing> framings() {
  using enum Http1Parser::Kind;
  return {
      {"Bodiless", request, "GET / HTTP/1.1\r\nHost: h\r\n\r\n", "", ""},
      {"NoFields", request, "GET / HTTP/1.1\r\n\r\n", "", ""},
      {"ContentLength", request, "POST / HTTP/1.1\r\nContent-Length: 4\r\n\r\n", "a\r\nb",
       "a\r\nb"},
      {"ContentLengthZero", request, "POST / HTTP/1.1\r\nContent-Length: 0\r\n\r\n", "", ""},
      {"Chunked", request, "POST / HTTP/1.1\r\nTransfer-Encoding: gzip, chunked\r\n\r\n",
       "3\r\nabc\r\n1;e=\"v\"\r\n\n\r\n0\r\n\r\n", "abc\n"},
      {"ChunkedEmpty", request, "PUT / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n", "0\r\n\r\n",
       ""},
      {"ChunkedWithTrailers", request, "PUT / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n",
       "1\r\nx\r\n0\r\nA: b\r\nC: d\r\n\r\n", "x"},
      {"Connect", request, "CONNECT h:1 HTTP/1.1\r\nHost: h:1\r\n\r\n", "", ""},
      {"Upgrade", request, "GET / HTTP/1.1\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n", "", ""},
      {"UpgradeWithBody", request,
       "POST / HTTP/1.1\r\nConnection: upgrade\r\nUpgrade: x\r\nContent-Length: 2\r\n\r\n", "ab",
       "ab"},
      {"ConnectionClose", request, "GET / HTTP/1.1\r\nConnection: close\r\n\r\n", "", ""},
      {"Http10", request, "GET / HTTP/1.0\r\n\r\n", "", ""},
      {"Response", response, "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n", "abc", "abc"},
      {"ResponseWithoutReason", response, "HTTP/1.1 200\r\nContent-Length: 0\r\n\r\n", "", ""},
      {"ResponseChunked", response, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
       "a\r\n0123456789\r\n0\r\nT: t\r\n\r\n", "0123456789"},
      {"ResponseClose", response,
       "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 1\r\n\r\n", "x", "x"},
  };
}

class EveryFraming : public testing::TestWithParam<Framing> {
 protected:
  // Feeds `bytes` until the parser stops for something else than more; returns the offset.
  size_t run_to(Http1Parser::Stop stop, std::string_view bytes, size_t piece) {
    while (true) {
      const std::string chunk(bytes.substr(at_, piece - at_ % piece));
      const Http1Parser::Step step = parser_.advance(as_bytes(chunk));
      at_ += step.used;
      if (step.stop != Http1Parser::Stop::more || chunk.empty()) {
        EXPECT_EQ(step.stop, stop) << parser_.error();
        return at_;
      }
    }
  }

  Text text_;
  Http1Parser parser_{GetParam().kind, Http1Parser::Collect::essentials, text_};
  size_t at_ = 0;
};

TEST_P(EveryFraming, EndsAtTheExactByteHoweverItIsSplit) {
  const Framing& f = GetParam();
  const std::string next = f.kind == Http1Parser::Kind::request ? "GET / HTTP/1.1" : "HTTP/1.1 2";
  const std::string message = f.head + f.rest;
  for (const std::string& behind : {std::string(), next, std::string("\x16\x03")}) {
    for (size_t piece = 1; piece <= message.size() + behind.size(); ++piece) {
      at_ = 0;
      text_.body.clear();
      parser_.begin();
      EXPECT_EQ(run_to(Http1Parser::Stop::head, message + behind, piece), f.head.size());
      EXPECT_EQ(run_to(Http1Parser::Stop::end, message + behind, piece), message.size());
      EXPECT_EQ(text_.body, f.body);
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Framings, EveryFraming, testing::ValuesIn(framings()),
                         [](const auto& tested) { return std::string(tested.param.name); });

class BadMessage : public testing::TestWithParam<std::pair<Http1Parser::Kind, const char*>> {};

TEST_P(BadMessage, Fails) {
  Text text;
  Http1Parser parser(GetParam().first, Http1Parser::Collect::all_fields, text);
  parser.begin();
  Bytes bytes = as_bytes(GetParam().second);
  Http1Parser::Step step;
  do {
    step = parser.advance(bytes);
    bytes = bytes.subspan(step.used);
  } while (step.stop == Http1Parser::Stop::head);
  EXPECT_EQ(step.stop, Http1Parser::Stop::failed);
  EXPECT_NE(parser.error(), "");
}

constexpr auto request = Http1Parser::Kind::request;
constexpr auto response = Http1Parser::Kind::response;
INSTANTIATE_TEST_SUITE_P(
    Messages, BadMessage,
    testing::Values(
        std::pair(request, "*1\r\n$4\r\nPING\r\n"), std::pair(request, "SSH-2.0-x\r\n"),
        std::pair(request, "GET / HTTP/2.0\r\n\r\n"),
        std::pair(request, "GET / HTTP/1.1\r\nno\r\n\r\n"),
        std::pair(request, "POST / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n"),
        std::pair(request,
                  "POST / HTTP/1.1\r\nContent-Length: 1\r\n"
                  "Transfer-Encoding: chunked\r\n\r\n"),
        std::pair(request, "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n"),
        std::pair(request, "POST / HTTP/1.1\r\nTransfer-Encoding: gzip\r\n\r\n"),
        std::pair(response, "ICY 200 OK\r\n\r\n"), std::pair(response, "HTTP/2.0 200 OK\r\n\r\n"),
        std::pair(response, "HTTP/1.1 abc\r\n\r\n")));

TEST(Http1Parser, AMessageWithoutLengthEndsOnlyWithTheStream) {
  Text text;
  Http1Parser parser(response, Http1Parser::Collect::essentials, text);
  parser.begin();
  const std::string head = "HTTP/1.0 200 OK\r\n\r\n";
  EXPECT_EQ(parser.advance(as_bytes(head)).stop, Http1Parser::Stop::head);
  EXPECT_EQ(parser.advance(as_bytes("abc")).stop, Http1Parser::Stop::more);
  EXPECT_TRUE(parser.finish());
  parser.begin();
  EXPECT_EQ(parser.advance(as_bytes("HTTP/1.0 200")).stop, Http1Parser::Stop::more);
  EXPECT_FALSE(parser.finish());
}

TEST(SplitText, IsWhatItsPiecesAreTogether) {
  SplitText text;
  for (const char* piece : {"a", "bc", "", "d"}) {
    std::string volatile_piece = piece;
    text.add(volatile_piece);
    text.keep();
  }
  EXPECT_EQ(text.view(), "abcd");
  text.clear();
  EXPECT_EQ(text.view(), "");
}

}  // namespace
}  // namespace wiretape
