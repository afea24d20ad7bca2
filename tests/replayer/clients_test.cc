#include "replayer/clients.h"

#include <gtest/gtest.h>

#include "replayer/admission.h"
#include "tests/replayer/simulation.h"

namespace wiretape {
namespace {

TEST(Clients, ACompletionIsItsOwnClients) {
  Clients clients;
  EXPECT_EQ(clients.last_ns(3), -1);
  clients.completed(3, 70);
  clients.completed(3, 90);
  EXPECT_EQ(clients.count(3), 2U);
  EXPECT_EQ(clients.last_ns(3), 90);
  EXPECT_EQ(clients.count(2), 0U);
  EXPECT_EQ(clients.last_ns(2), -1);
}

TEST(Clients, AConnectionWaitsForWhatItsClientHadCompleted) {
  Admission admission(Admission::Order::by_clients, 1'000);
  admission.add({1, 0, 0, 0});
  admission.add({2, 0, 0, 1});  // of the same client, behind one answer
  admission.add({3, 0, 1, 0});
  EXPECT_EQ(admission.admit(), 1U);
  EXPECT_FALSE(admission.may_admit());
  admission.completed(1, 5);
  EXPECT_FALSE(admission.may_admit()) << "another client's";
  admission.completed(0, 10);
  EXPECT_EQ(admission.admit(), 2U);
  EXPECT_EQ(admission.admit(), 3U);
}

class Nothing final : public RecordedListener {
  void recorded_exchange(ConnectionId, uint64_t, const Exchange&) override {}
  void recorded_client(ConnectionId, Bytes) override {}
  void recorded_server(ConnectionId, Bytes) override {}
  void recorded_gap(ConnectionId) override {}
  void recorded_closed(ConnectionId, bool) override {}
};

Opened from(const std::string& client, ConnectionId id) {
  Opened opened;
  opened.connection = id;
  opened.client = client;
  return opened;
}

TEST(Clients, TheTapeSaysWhatHadBeenCompletedBeforeAnOpening) {
  TapeByHand tape;
  tape.add(0, from("10.0.0.1:1000", 1)).client(1 * ms, 1, request(0));
  tape.server(5 * ms, 1, response("a"));
  tape.add(10 * ms, from("10.0.0.2:1000", 2)).add(20 * ms, from("10.0.0.1:1001", 3));
  tape.closed(30 * ms, 1).add(40 * ms, from("10.0.0.1:1002", 4));
  Nothing nothing;
  Excerpt excerpt(nothing, {});
  for (const auto& item : tape.items()) excerpt.feed(item);
  excerpt.finish();
  std::vector<Action> opens;
  for (const Action& action : excerpt.actions()) {
    if (action.kind == Action::Kind::open) opens.push_back(action);
  }
  ASSERT_EQ(opens.size(), 4U);
  EXPECT_EQ(opens[0].after_ns, -1);
  EXPECT_EQ(opens[1].client_done, 0U) << "another client";
  EXPECT_EQ(opens[2].client, opens[0].client);
  EXPECT_EQ(opens[2].client_done, 1U);
  EXPECT_EQ(opens[2].after_ns, 5 * ms);
  EXPECT_EQ(opens[3].client_done, 2U) << "the answer and the end of the first connection";
  EXPECT_EQ(opens[3].after_ns, 30 * ms);
}

}  // namespace
}  // namespace wiretape
