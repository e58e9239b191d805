using Akka.Actor;
using Kvcached.Actors.Lanes;
using Kvcached.Actors.Protocols;
using Kvcached.Core.Decisions;
using Kvcached.Core.Ids;
using Kvcached.Core.Paging;

namespace Kvcached.Actors.Tests.Lanes;

/// <summary>Lanes between a coordinator and a rank: in order, one at a time, and nothing after their end.</summary>
public sealed class LaneSpecs : LaneKit
{
    [Fact]
    public void Commands_should_arrive_in_order_and_answers_go_back_in_theirs()
    {
        var link = Open(1);
        for (var seq = 1; seq <= 2_000; seq++)
        {
            link.Send(Decision(seq));
        }

        for (var seq = 1; seq <= 2_000; seq++)
        {
            Assert.Equal(seq, Mapper.ExpectMsg<RankProtocol.Decide>(Patience).Decision.Seq);
            Mapper.LastSender.Tell(Answer(seq), Mapper);
        }

        for (var seq = 1; seq <= 2_000; seq++)
        {
            Assert.Equal(seq, Coordinator.ExpectMsg<RankProtocol.Decided>(Patience).Answer.Seq);
        }
    }

    [Fact]
    public void Long_tables_and_rare_messages_should_travel_as_short_ones_do()
    {
        var link = Open(1);
        var entries = Enumerable.Range(0, 50_000).Select(i => new TableEntry(new Extent(0, new PageId(i), 0, (uint)i + 1), SessionId.New(), new RequestId(i))).ToArray();
        var table = new RankProtocol.InstallTable(Fifth, PoolId.Create(5, 1), 9, [.. entries]);
        var open = new RankProtocol.OpenRankPool(Fifth, PoolId.Create(5, 1), 0, TestPools.Spec("a", TestPools.Gpus(1)), SessionId.New());
        link.Send(open);
        link.Send(table);
        link.Send(new RankProtocol.CloseRankPool(Fifth, PoolId.Create(5, 1)));

        Assert.Equal(open, Mapper.ExpectMsg<RankProtocol.OpenRankPool>(Patience));
        Assert.Equal(entries, Mapper.ExpectMsg<RankProtocol.InstallTable>(Patience).Entries);
        Mapper.ExpectMsg<RankProtocol.CloseRankPool>(Patience);
        var answer = new RankProtocol.RankPoolAnswer(
            TestPools.Gpu(0), Incarnation, Fifth, PoolId.Create(5, 1), false, new Refusal(RefusalReason.OutOfMemory, "none left"));
        Mapper.LastSender.Tell(answer, Mapper);
        Assert.Equal(answer, Coordinator.ExpectMsg<RankProtocol.RankPoolAnswer>(Patience));
    }

    [Fact]
    public void Lane_should_be_refused_unless_it_is_above_all_before_it()
    {
        var link = Open(2);
        Assert.Contains("isn't above", Refused(Hello(1)), StringComparison.Ordinal);
        Assert.Contains("isn't above", Refused(Hello(2)), StringComparison.Ordinal);
        Assert.Contains("isn't above", Refused(Hello(9, counter: 4)), StringComparison.Ordinal);
        AssertWorks(link, 1);

        var above = Open(1, counter: 6);
        Mapper.ExpectMsg<LaneServer.LaneEnded>(Patience);
        AssertWorks(above, 2);
    }

    [Fact]
    public void Lane_should_be_refused_to_whoever_means_another_rank()
    {
        Assert.Contains("not HOST-1", Refused(Hello(1) with { Gpu = TestPools.Gpu(1) }), StringComparison.Ordinal);
        Assert.Contains("'other'", Refused(Hello(1) with { Domain = "other" }), StringComparison.Ordinal);
        Assert.Contains("incarnation-4e", Refused(Hello(1) with { Incarnation = new HostIncarnation(78) }), StringComparison.Ordinal);
        AssertWorks(Open(1), 1);
    }

    [Fact]
    public void New_lane_should_take_the_place_of_the_one_before_which_brings_nothing_after_it()
    {
        var first = Open(1);
        AssertWorks(first, 1);
        Dialer.Dial(Server.Path, Hello(2));
        Assert.Equal(Hello(1), Coordinator.ExpectMsg<LaneDialer.LaneLost>(Patience).Hello);
        var second = Coordinator.ExpectMsg<LaneDialer.LaneOpened>(Patience).Link;
        first.Send(Decision(7));
        second.Send(Decision(2));

        Assert.Equal(Hello(1).Lane, Mapper.ExpectMsg<LaneServer.LaneEnded>(Patience).Lane);
        Assert.Equal(2, Mapper.ExpectMsg<RankProtocol.Decide>(Patience).Decision.Seq);
    }

    [Fact]
    public void Lane_should_end_with_its_page_mapper_and_the_next_one_go_to_its_successor()
    {
        AssertWorks(Open(1), 1);
        Server.Use(ActorRefs.Nobody);
        Coordinator.ExpectMsg<LaneDialer.LaneLost>(Patience);
        Assert.Contains("no page mapper", Refused(Hello(2)), StringComparison.Ordinal);

        var successor = CreateTestProbe();
        Server.Use(successor);
        var link = Open(3);
        link.Send(Decision(4));
        Assert.Equal(4, successor.ExpectMsg<RankProtocol.Decide>(Patience).Decision.Seq);
        Mapper.ExpectMsg<LaneServer.LaneEnded>(Patience);
    }

    [Fact]
    public void Everything_sent_before_a_lane_was_closed_should_come_before_its_end()
    {
        var link = Open(1);
        for (var seq = 1; seq <= 50; seq++)
        {
            link.Send(Decision(seq));
        }

        link.Close();
        link.Send(Decision(51));

        for (var seq = 1; seq <= 50; seq++)
        {
            Assert.Equal(seq, Mapper.ExpectMsg<RankProtocol.Decide>(Patience).Decision.Seq);
        }

        Assert.Equal(Hello(1).Lane, Mapper.ExpectMsg<LaneServer.LaneEnded>(Patience).Lane);
        Coordinator.ExpectMsg<LaneDialer.LaneLost>(Patience);
    }

    [Fact]
    public void Answers_given_before_a_lane_was_cut_should_come_before_its_end()
    {
        var link = Open(1);
        link.Send(Decision(1));
        Mapper.ExpectMsg<RankProtocol.Decide>(Patience);
        var coordinator = Mapper.LastSender;
        for (var seq = 1; seq <= 50; seq++)
        {
            coordinator.Tell(Answer(seq), Mapper);
        }

        Server.Cut();
        Mapper.ExpectMsg<LaneServer.LaneEnded>(Patience);
        coordinator.Tell(Answer(51), Mapper);

        for (var seq = 1; seq <= 50; seq++)
        {
            Assert.Equal(seq, Coordinator.ExpectMsg<RankProtocol.Decided>(Patience).Answer.Seq);
        }

        Assert.Equal(Hello(1), Coordinator.ExpectMsg<LaneDialer.LaneLost>(Patience).Hello);
    }

    [Fact]
    public void Dialer_should_say_that_there_is_no_lane_where_nobody_serves_one()
    {
        Dialer.Dial(Server.Path + "-not", Hello(1));
        Assert.Contains("There is no socket", Coordinator.ExpectMsg<LaneDialer.LaneFailed>(Patience).Why, StringComparison.Ordinal);
    }

    [Fact]
    public void Socket_should_be_open_to_its_user_alone()
    {
        Assert.Equal(UnixFileMode.UserRead | UnixFileMode.UserWrite, File.GetUnixFileMode(Server.Path));
    }

    [Fact]
    public void Socket_that_a_host_left_behind_should_be_replaced()
    {
        var directory = Directory.CreateTempSubdirectory("kvcached-lane-");
        var left = Path.Combine(directory.FullName, "lane-HOST-1@test.sock");
        File.WriteAllText(left, string.Empty);

        using (var server = LaneServer.TryOpen(Sys, directory.FullName, "test", TestPools.Gpu(1), Incarnation, out var problem))
        {
            Assert.Null(problem);
            Assert.Equal(left, server!.Path);
        }

        var deep = directory.CreateSubdirectory(new string('x', 100));
        Assert.Null(LaneServer.TryOpen(Sys, deep.FullName, "test", TestPools.Gpu(1), Incarnation, out var why));
        Assert.Contains("longer than", why, StringComparison.Ordinal);
        directory.Delete(recursive: true);
    }
}
