// Says whether a tape is whole and, when it is not, what is missing: where in the file, when, and
// how many bytes of which connection. The findings are proto/tape_check's; here they become lines
// that a person can act on, worst first, and an exit status: 0 whole, 1 not.
//
// Damage (the file is not what was written), gaps (the recorder itself left bytes out, and said
// so) and a torn end (the recorder did not finish) are told apart: only the first is a broken disk
// or a bad copy.
#include <fmt/core.h>

#include <algorithm>
#include <cstdio>
#include <string>

#include "base/log.h"
#include "cli/options.h"
#include "cli/text.h"
#include "proto/json.h"
#include "proto/tape_check.h"

namespace wiretape {
namespace {

std::string when(const TapeDamage& damage) {
  if (damage.first_ns < 0 && damage.last_ns < 0) return "";
  const std::string from = damage.first_ns < 0 ? "?" : seconds_text(damage.first_ns);
  const std::string to = damage.last_ns < 0 ? "?" : seconds_text(damage.last_ns);
  return fmt::format(", {} s to {} s", from, to);
}

void put_damage(const TapeDamage& damage) {
  put("  damage at byte {}: {} ({} bytes of file, {}{})\n", grouped(damage.file_offset),
      damage.what, grouped(damage.file_bytes), counted(damage.blocks_lost, "block"), when(damage));
}

void put_loss(const ConnectionLoss& loss) {
  std::string text;
  for (Direction d : {Direction::client_to_server, Direction::server_to_client}) {
    const uint64_t lost = loss.lost[index_of(d)], gap = loss.gaps[index_of(d)];
    if (lost > 0) text += fmt::format(", {} bytes {} lost", grouped(lost), name_of(d));
    if (gap > 0) text += fmt::format(", {} bytes {} not recorded", grouped(gap), name_of(d));
  }
  if (loss.opened_lost) text += ", its beginning is lost";
  if (loss.end_unknown) text += ", its end is not on the tape";
  if (text.empty()) return;
  put("  connection {}: {}\n", connection_name(loss.part, loss.connection), text.substr(2));
}

std::string end_text(const TapeFindings& f) {
  if (f.end == TapeEnd::being_written) return "it is still being written; whole so far";
  std::string text = "it ends without its trailer: the recording was cut off, or the copy is short";
  if (f.torn_bytes > 0) {
    text += fmt::format(" ({} bytes behind the last whole block)", grouped(f.torn_bytes));
  }
  return text;
}

std::string_view verdict(const TapeFindings& f) {
  if (f.whole()) return "whole";
  if (!f.damage.empty() || f.records_out_of_order > 0) return "damaged";
  if (f.end == TapeEnd::being_written) return "being written";
  return f.end == TapeEnd::torn ? "torn" : "not complete";
}

void print_text(const std::string& path, const TapeFindings& f) {
  put("{}: {} ({})\n", path, verdict(f), counted(f.records, "record"));
  if (f.whole()) return;
  for (const TapeDamage& damage : f.damage) put_damage(damage);
  if (f.damage_omitted > 0) put("  and {} more damaged places\n", grouped(f.damage_omitted));
  if (f.records_out_of_order > 0) {
    put("  {} out of order of time\n", counted(f.records_out_of_order, "record"));
  }
  if (f.end != TapeEnd::whole) {
    put("  {}\n", end_text(f));
  } else if (f.torn_bytes > 0) {
    put("  {} bytes behind its end that are no tape\n", grouped(f.torn_bytes));
  }
  if (f.connections_lost > 0) put("  {} lost wholly\n", counted(f.connections_lost, "connection"));
  for (const ConnectionLoss& loss : f.losses) put_loss(loss);
  if (f.losses_omitted > 0) put("  and {} more connections\n", grouped(f.losses_omitted));
  put("  in all: {} bytes lost by damage, {} bytes not recorded\n", grouped(f.bytes_lost),
      grouped(f.gap_bytes));
}

void write_damage(JsonWriter& json, const TapeDamage& damage) {
  json.begin_object();
  json.field("file_offset", damage.file_offset).field("file_bytes", damage.file_bytes);
  json.field("blocks_lost", damage.blocks_lost).field("bad_records", damage.bad_records);
  damage.first_ns < 0 ? json.key("first_ns").null() : json.field("first_ns", damage.first_ns);
  damage.last_ns < 0 ? json.key("last_ns").null() : json.field("last_ns", damage.last_ns);
  json.field("what", damage.what).end_object();
}

void write_loss(JsonWriter& json, const ConnectionLoss& loss) {
  json.begin_object().field("part", loss.part).field("connection", loss.connection);
  for (Direction d : {Direction::client_to_server, Direction::server_to_client}) {
    json.field(fmt::format("bytes_lost_{}", name_of(d)), loss.lost[index_of(d)]);
    json.field(fmt::format("bytes_not_recorded_{}", name_of(d)), loss.gaps[index_of(d)]);
  }
  json.field("opened_lost", loss.opened_lost).field("end_unknown", loss.end_unknown).end_object();
}

void print_json(const TapeFindings& f) {
  JsonWriter json(JsonWriter::Layout::indented);
  json.begin_object().field("whole", f.whole()).field("verdict", verdict(f));
  json.field("records", f.records).field("records_out_of_order", f.records_out_of_order);
  json.field("blocks_lost", f.blocks_lost).field("connections_lost", f.connections_lost);
  json.field("bytes_lost", f.bytes_lost).field("bytes_not_recorded", f.gap_bytes);
  json.field("torn_bytes", f.torn_bytes);
  json.field("being_written", f.end == TapeEnd::being_written);
  json.field("clean_trailer", f.clean_trailer);
  json.key("damage").begin_list();
  for (const TapeDamage& damage : f.damage) write_damage(json, damage);
  json.end_list().field("damage_omitted", f.damage_omitted).key("losses").begin_list();
  for (const ConnectionLoss& loss : f.losses) write_loss(json, loss);
  json.end_list().field("losses_omitted", f.losses_omitted);
  put("{}\n", json.end_object().take());
}

Result<TapeFindings> check_tape(const std::string& path) {
  auto reader = TapeReader::open(path);
  if (!reader) return reader.error();
  TapeCheck check;
  while (const TapeReader::Item* item = (*reader)->next()) check.feed(*item);
  return check.finish(**reader);
}

}  // namespace

int verify_main(const Arguments& arguments) {
  std::string tape;
  bool json = false;
  Options options("verify",
                  "Reads all of a tape and says whether it is whole; if not, what each "
                  "connection lost. Exit status: 0 whole, 1 not, 3 not a tape.");
  options.usage("TAPE [--json]");
  options.example("is it whole?", "wiretape verify session.tape");
  options.example("what is missing, for a script", "wiretape verify session.tape --json");
  options.positional("TAPE", "the tape; - is standard input", &tape);
  options.flag("--json", "print JSON", &json);
  if (auto status = options.parse(arguments)) return *status;

  const auto findings = check_tape(tape);
  if (!findings) {
    fail("{}", findings.error().message);
    return exit_status::could_not;
  }
  json ? print_json(*findings) : print_text(tape, *findings);
  return findings->whole() ? exit_status::done : exit_status::differs;
}

}  // namespace wiretape
