// What the tape's tests share: a folder of their own, files as strings, tapes with known records.
#pragma once

#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <random>
#include <string>
#include <vector>

#include "proto/record_encoder.h"
#include "proto/tape_check.h"
#include "proto/tape_reader.h"
#include "proto/tape_writer.h"

namespace wiretape::test {

class TempDir {
 public:
  TempDir() {
    std::string name = (std::filesystem::temp_directory_path() / "wiretape.XXXXXX").string();
    if (mkdtemp(name.data()) == nullptr) std::abort();
    path_ = name;
  }
  ~TempDir() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  TempDir(const TempDir&) = delete;
  TempDir& operator=(const TempDir&) = delete;
  std::string operator/(const std::string& name) const { return path_ + "/" + name; }
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

inline std::string read_file(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

inline void write_file(const std::string& path, std::string_view bytes) {
  std::ofstream(path, std::ios::binary) << bytes;
}

// A record as its bytes, so that records can be compared.
inline std::string bytes_of(int64_t time_ns, const Event& event) {
  std::string out;
  encode_record(out, time_ns, event);
  return out;
}

inline Header sample_header() {
  Header header;
  header.tool_version = "0.1.0";
  header.wall_start_ns = 1'700'000'000'000'000'000;
  header.host = "example";
  header.listeners = {"127.0.0.1:8080 -> app:3000"};
  header.tape_set = "00112233445566778899aabbccddeeff";
  return header;
}

inline std::unique_ptr<TapeWriter> create(const std::string& path, int level = 1,
                                          const Header& header = sample_header()) {
  auto writer = TapeWriter::create(path, TapeWriter::IfExists::refuse, level, header);
  if (!writer.ok()) {
    ADD_FAILURE() << writer.error().message;
    std::abort();
  }
  return std::move(writer).value();
}

// Everything that a reader gives.
struct Readout {
  std::vector<std::string> records;  // as bytes_of() gives them
  std::vector<uint32_t> parts;       // of each record
  std::vector<TapeDamage> damage;
  TapeEnd end = TapeEnd::torn;
  uint64_t torn_bytes = 0;
  TapeFindings findings;
};

inline Readout read_tape(const std::string& path) {
  auto reader = TapeReader::open(path);
  Readout out;
  if (!reader.ok()) {
    ADD_FAILURE() << reader.error().message;
    return out;
  }
  TapeCheck check;
  while (const TapeReader::Item* item = (*reader)->next()) {
    check.feed(*item);
    if (const auto* record = std::get_if<TapeRecord>(item)) {
      out.records.push_back(bytes_of(record->time_ns, record->event));
      out.parts.push_back(record->part);
    } else {
      out.damage.push_back(std::get<TapeDamage>(*item));
    }
  }
  out.end = (*reader)->end();
  out.torn_bytes = (*reader)->torn_bytes();
  out.findings = check.finish(**reader);
  return out;
}

struct Sample {
  uint32_t seed = 1;
  int level = 1;
  int records = 300;
  size_t chunk_bytes_max = 3000;
  int records_a_block = 40;  // a block is flushed after as many
  int connections = 5;
  bool finished = true;
};

inline std::string sample_text(std::mt19937& random, size_t count) {
  static constexpr std::string_view words[] = {"{\"id\": ", "\"name\": \"", "GET / HTTP/1.1\r\n",
                                               "true, ", "\xFF\x00\x81"};
  std::string out;
  while (out.size() < count) {
    out += words[random() % std::size(words)];
    out += std::to_string(random() % 100'000);
  }
  out.resize(count);
  return out;
}

// Writes a tape of chunks of some connections, each opened and closed, and a trailer. Returns its
// records as bytes.
inline std::vector<std::string> write_sample(const std::string& path, const Sample& sample) {
  std::mt19937 random(sample.seed);
  Header header = sample_header();
  header.part = sample.seed;
  auto writer = create(path, sample.level, header);
  std::vector<std::string> records = {bytes_of(0, header)};
  int64_t now_ns = 0;
  int count = 0;
  auto write = [&](const Event& event) {
    now_ns += static_cast<int64_t>(random() % 1000);
    EXPECT_TRUE(writer->write(now_ns, event).ok());
    records.push_back(bytes_of(now_ns, event));
    bool block_is_full = ++count % sample.records_a_block == 0;
    EXPECT_TRUE(!block_is_full || writer->flush().ok());
  };
  std::vector<std::array<uint64_t, 2>> lengths(static_cast<size_t>(sample.connections));
  Trailer trailer;
  for (size_t c = 0; c < lengths.size(); ++c) {
    Opened opened;
    opened.connection = c + 1;
    opened.client = "127.0.0.1:1000";
    write(opened);
  }
  for (int i = 0; i < sample.records; ++i) {
    size_t c = random() % lengths.size();
    auto direction = static_cast<Direction>(random() % 2);
    std::string text = sample_text(random, 1 + random() % sample.chunk_bytes_max);
    write(Chunk{c + 1, direction, lengths[c][index_of(direction)], as_bytes(text)});
    lengths[c][index_of(direction)] += text.size();
  }
  for (size_t c = 0; c < lengths.size(); ++c) {
    Closed closed;
    closed.connection = c + 1;
    closed.how = CloseHow::fin;
    closed.length[0] = lengths[c][0];
    closed.length[1] = lengths[c][1];
    write(closed);
    trailer.length[0] += lengths[c][0];
    trailer.length[1] += lengths[c][1];
  }
  trailer.connections = lengths.size();
  trailer.clean = true;
  if (!sample.finished) return records;
  EXPECT_TRUE(writer->finish(now_ns, trailer).ok());
  records.push_back(bytes_of(now_ns, trailer));
  return records;
}

// True when `part` is `whole` with some elements left out.
inline bool is_subsequence(const std::vector<std::string>& part,
                           const std::vector<std::string>& whole) {
  size_t at = 0;
  for (const std::string& record : part) {
    while (at < whole.size() && whole[at] != record) ++at;
    if (at++ == whole.size()) return false;
  }
  return true;
}

}  // namespace wiretape::test
