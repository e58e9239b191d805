using System.Collections.Immutable;
using System.Globalization;
using CsCheck;
using Kvcached.Actors.Protocols;
using Kvcached.Actors.Tests.Ranks;
using Kvcached.Core.Decisions;
using Kvcached.Core.Ids;
using Kvcached.Core.Paging;

namespace Kvcached.Actors.Tests.Workers;

/// <summary>
/// Random schedules of decisions, tables, deadlines, and of workers that answer late, refuse, stick, vanish, die and come back. After every step, whatever a
/// living worker can write to is on the rank's books; in the end rank and worker agree, and nothing is left over.
/// </summary>
public class WorkerScheduleTests
{
    private static readonly int ScheduleCount =
        int.TryParse(Environment.GetEnvironmentVariable("KVCACHED_SCHEDULES"), CultureInfo.InvariantCulture, out var count) ? count / 5 : 300;

    private enum Act
    {
        Map,
        Unmap,
        Install,
        Expire,
        Answer,
        Silence,
        Disconnect,
        Attach,
        Die,
        Detach,
        Stick,
        Release,
        Refuse,
        Squeeze,
    }

    private static readonly Gen<(Act Act, int A)[]> AnySchedule = Gen.Frequency(
        (10, Gen.Const(Act.Map)), (8, Gen.Const(Act.Unmap)), (2, Gen.Const(Act.Install)), (3, Gen.Const(Act.Expire)), (20, Gen.Const(Act.Answer)),
        (2, Gen.Const(Act.Silence)), (2, Gen.Const(Act.Disconnect)), (5, Gen.Const(Act.Attach)), (1, Gen.Const(Act.Die)), (1, Gen.Const(Act.Detach)),
        (2, Gen.Const(Act.Stick)), (2, Gen.Const(Act.Release)), (2, Gen.Const(Act.Refuse)), (2, Gen.Const(Act.Squeeze)))
        .SelectMany(act => Gen.Select(Gen.Const(act), Gen.Int[0, 999])).Array[1, 80];

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void Any_schedule_should_keep_lent_memory_safe_and_end_in_agreement(bool keepsImports) =>
        AnySchedule.Sample(steps => Run(steps, keepsImports), iter: ScheduleCount, threads: 2, print: steps => string.Join(' ', steps.Select(s => $"{s.Act}({s.A})")));

    private static void Run((Act Act, int A)[] steps, bool keepsImports)
    {
        using var run = new Schedule(keepsImports);
        foreach (var (act, a) in steps)
        {
            run.Take(act, a);
        }

        run.End();
    }

    /// <summary>One schedule: a coordinator of one pool, as far as a rank notices, and its workers.</summary>
    private sealed class Schedule : IDisposable
    {
        private readonly WorkerRig _rig;
        private readonly HashSet<Extent> _table = [];
        private readonly HashSet<Extent> _leaving = [];
        private FakeWorker _worker;
        private Epoch _epoch = RankRig.Fifth;
        private long _seq;
        private uint _generation;
        private RankProtocol.ICommand? _pending;
        private bool _isDead;

        public Schedule(bool keepsImports)
        {
            _rig = new WorkerRig(keepsImports: keepsImports);
            _worker = _rig.NewWorker();
        }

        private bool IsConnected => _worker.Current is { IsClosed: false };

        public void Dispose() => _rig.Dispose();

        public void Take(Act act, int a)
        {
            switch (act)
            {
                case Act.Map when _pending is null:
                    ImmutableArray<Extent> free = [.. FreePages().Take(1 + (a % 3)).Select(p => new Extent(0, new PageId(p), 0, ++_generation))];
                    if (!free.IsEmpty)
                    {
                        Decide(DecisionKind.Map, free);
                    }

                    break;
                case Act.Unmap when _pending is null && _table.Count > 0:
                    ImmutableArray<Extent> leaving = [.. _table.OrderBy(e => e.Generation).Skip(a % _table.Count).Take(1 + (a % 3))];
                    _table.ExceptWith(leaving);
                    _leaving.UnionWith(leaving);
                    Decide(DecisionKind.Unmap, leaving);
                    break;
                case Act.Install when _pending is null:
                    // A new coordinator, which starts with a table; sometimes one that had not heard of all grants.
                    _epoch = new Epoch(_epoch.Counter + 1, 1);
                    _seq = 1;
                    var forgotten = _table.Where(e => a % 4 == 0 && e.Generation % 3 == 0).ToArray();
                    _table.ExceptWith(forgotten);
                    _leaving.UnionWith(forgotten);
                    var install = new RankProtocol.InstallTable(_epoch, WorkerRig.Pool, 1, [.. _table.Select(e => new TableEntry(e, default, default))]);
                    _pending = install;
                    Answered(_rig.Send(install));
                    break;
                case Act.Expire when _rig.Seat.Wait is not null:
                    _rig.Expire();
                    break;
                case Act.Answer when IsConnected && _worker.UnansweredCount > 0:
                    _worker.Answer();
                    break;
                case Act.Silence when IsConnected && _worker.UnansweredCount > 0:
                    _worker.CarryOutInSilence();
                    _worker.Disconnect();
                    break;
                case Act.Disconnect when IsConnected:
                    _worker.Disconnect();
                    break;
                case Act.Attach when _isDead || !IsConnected || a % 5 == 0:
                    Attach();
                    break;
                case Act.Die when IsConnected:
                    _worker.Die();
                    _isDead = true;
                    break;
                case Act.Detach when IsConnected && _rig.Seat.Connection is not null:
                    _worker.Detach();
                    break;
                case Act.Stick:
                    _worker.Sticks = e => e.Generation % 3 == a % 3;
                    break;
                case Act.Release when IsConnected:
                    _worker.ReleaseStuck();
                    break;
                case Act.Squeeze:
                    // Others on the device want all that is only kept.
                    _rig.Rank.Pages.KeepWithin(0);
                    _rig.Work.GiveWay();
                    break;
                case Act.Refuse:
                    _worker.RefusesMap = _worker.RefusesMap is null ? new Refusal(RefusalReason.DriverFailed, "no") : null;
                    break;
            }

            Hear();
        }

        public void End()
        {
            _worker.Sticks = _ => false;
            _worker.RefusesMap = null;
            for (var round = 0; round < 20; round++)
            {
                if (_isDead || !IsConnected)
                {
                    Attach();
                    Hear();
                }

                _worker.AnswerAll();
                Hear();
                _worker.ReleaseStuck();
                Hear();
            }

            Assert.Null(_pending);
            Assert.Equal(RankWorker.Attached, _rig.Seat.Standing);
            Assert.True(_table.SetEquals(_worker.Mapped.Keys), $"The table is {string.Join(", ", _table)}, the worker has {string.Join(", ", _worker.Mapped.Keys)}.");
            Assert.True(_table.SetEquals(_rig.Memory.MappedExtents));
            Assert.Empty(_rig.Quarantined);
            Assert.Empty(_leaving);
            Assert.All(_worker.Mapped, m => Assert.Equal(_rig.Memory.IdentityOf(m.Key), m.Value));

            _rig.Close();
            _worker.Detach();
            _rig.Hear();
            Assert.Empty(_rig.Rank.State.Pools);
            Assert.Equal(0, _rig.Rank.Pages.Snapshot().HeldBytes);
        }

        private IEnumerable<int> FreePages() => Enumerable.Range(0, 24).Where(p => _table.Concat(_leaving).All(e => e.First.Value != p));

        private void Attach()
        {
            if (_isDead)
            {
                _worker = _rig.NewWorker();
                _isDead = false;
            }

            _worker.Attach(WorkerRig.Name, id: WorkerRig.Pool);
        }

        private void Decide(DecisionKind kind, ImmutableArray<Extent> extents, long aborted = 0)
        {
            var command = new RankProtocol.Decide(new Decision(WorkerRig.Pool, _epoch, ++_seq, kind, extents, aborted, default, default, default, EngineStep.None));
            _pending = command;
            Answered(_rig.Send(command));
        }

        private void Hear()
        {
            _rig.Hear();
            _leaving.ExceptWith(_rig.Cleared.Where(e => _pending is not RankProtocol.Decide { Decision: var d } || !d.Extents.Contains(e)));
            while (_rig.Replies.Count > 0)
            {
                Answered(_rig.TakeAnswer());
            }
        }

        private void Answered(DecisionAnswer? answer)
        {
            if (answer is null)
            {
                return;
            }

            var command = _pending;
            _pending = null;
            Assert.Equal((_epoch, _seq), (answer.Epoch, answer.Seq));
            switch (command)
            {
                case RankProtocol.Decide { Decision: { Kind: DecisionKind.Map } map } when answer.Outcome == DecisionOutcome.Refused:
                    _leaving.UnionWith(map.Extents);
                    Decide(DecisionKind.Abort, map.Extents, map.Seq);
                    break;
                case RankProtocol.Decide { Decision: { Kind: DecisionKind.Map } map }:
                    _table.UnionWith(map.Extents);
                    Assert.True(map.Extents.All(_worker.Mapped.ContainsKey), "A map was answered that the worker hasn't carried out.");
                    ShowsTable(answer);
                    break;
                default:
                    Assert.Equal(DecisionOutcome.Applied, answer.Outcome);
                    ShowsTable(answer);
                    _leaving.IntersectWith(_rig.Quarantined);
                    Assert.True(answer.Quarantined.All(e => _leaving.Contains(e) || _rig.Cleared.Contains(e)));
                    break;
            }
        }

        private void ShowsTable(DecisionAnswer answer) =>
            Assert.Equal(_table.Aggregate(LayoutDigest.Empty, (digest, extent) => digest.With(extent)), answer.Digest);
    }
}
