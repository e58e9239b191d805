using System.Collections.Immutable;
using System.Diagnostics;
using Kvcached.Actors.Ranks;
using Kvcached.Actors.Tests.Ranks;
using Kvcached.Actors.Workers;
using Kvcached.Core.Decisions;
using Kvcached.Core.Ids;
using Kvcached.Core.Workers;
using Kvcached.Gpu.Sockets;
using Microsoft.Win32.SafeHandles;
using static Kvcached.Actors.Tests.Ranks.RankRig;

namespace Kvcached.Actors.Tests.Workers;

/// <summary>A host's next life, which takes over what a worker has kept of the one before. The memory and its descriptors are real.</summary>
public sealed class AdoptionTests : IDisposable
{
    private readonly string _directory = Directory.CreateTempSubdirectory("kvcached-adoption-").FullName;
    private readonly WorkerRig _former = new();
    private readonly RankRig _next = new();
    private readonly FakeWorker _worker;
    private readonly MapperWork _work;
    private readonly Line _line = new();

    public AdoptionTests()
    {
        _worker = _former.NewAttachedWorker();
        _former.Send(Map(PoolA, 1, Extent(0, 2, 1), Extent(8, 0, 2)));
        _worker.Answer();
        _former.Hear();
        Assert.Equal(DecisionOutcome.Applied, _former.TakeAnswer().Outcome);
        _work = new MapperWork(_next.State);
    }

    private AttachedProcessFile File => new(Path.Combine(_directory, "attached"));

    private ImmutableArray<LentExtent> Held => [.. _worker.Mapped.Select(m => new LentExtent(m.Key, m.Value)).OrderBy(h => h.Extent.First)];

    public void Dispose()
    {
        _former.Dispose();
        _next.Dispose();
        Directory.Delete(_directory, recursive: true);
    }

    [Fact]
    public void Host_should_take_over_all_that_a_living_worker_holds_and_then_be_recovered()
    {
        Begin(ProcessIdentity.Of(Environment.ProcessId));
        Assert.Contains($"process {Environment.ProcessId}", _next.State.Awaited, StringComparison.Ordinal);

        Attach(Held);

        var pool = _next.State.Pools[PoolA];
        Assert.Equal(Held.Select(h => h.Extent), _next.MappedIn(PoolA));
        Assert.All(Held, held => Assert.Equal(held.Identity, pool.Memory.IdentityOf(held.Extent)));
        Assert.Equal(_worker.Digest, pool.Replica.Table.Digest);
        Assert.Equal((77u, new Epoch(9, 9)), (pool.Replica.HighestGeneration, _next.State.HighestEpoch));
        var install = Assert.Single(_line.Said.OfType<WorkerProtocol.Operate>());
        Assert.Equal([true, true], install.IsDescriptorsHeld.AsEnumerable());
        Assert.True(_next.State.FollowRecovery());
        Assert.Null(_next.State.Awaited);
    }

    [Fact]
    public void Identity_that_is_not_the_extents_should_be_refused_and_nothing_be_taken_over()
    {
        Begin(ProcessIdentity.Of(Environment.ProcessId));
        var wrong = Held.SetItem(1, Held[1] with { Identity = Held[1].Identity with { Generation = 99 } });

        Attach(wrong);

        Assert.Equal(RefusalReason.PoolLost, Assert.Single(_line.Said.OfType<WorkerProtocol.AttachRefused>()).Refusal.Reason);
        Assert.Empty(_next.MappedIn(PoolA));
        Assert.Empty(_next.State.Pools[PoolA].Replica.Entries);
        Assert.False(_next.State.FollowRecovery());
        Attach(Held);
        Assert.True(_next.State.FollowRecovery());
    }

    [Fact]
    public void Descriptor_of_something_else_should_be_refused_and_nothing_be_taken_over()
    {
        Begin(ProcessIdentity.Of(Environment.ProcessId));

        Attach(Held, descriptors => [descriptors[0], System.IO.File.OpenHandle("/proc/self/exe")]);

        Assert.Equal(RefusalReason.PoolLost, Assert.Single(_line.Said.OfType<WorkerProtocol.AttachRefused>()).Refusal.Reason);
        Assert.Empty(_next.MappedIn(PoolA));
    }

    [Fact]
    public void Another_worker_should_not_get_the_place_of_one_that_is_waited_for()
    {
        Begin(ProcessIdentity.Of(Environment.ProcessId));

        Attach([], worker: WorkerIncarnation.New());

        Assert.Equal(RefusalReason.AlreadyAttached, Assert.Single(_line.Said.OfType<WorkerProtocol.AttachRefused>()).Refusal.Reason);
        Assert.False(_next.State.FollowRecovery());
    }

    [Fact]
    public void Worker_that_ends_instead_should_leave_nothing_to_wait_for()
    {
        using var process = Process.Start("sleep", "600");
        Begin(ProcessIdentity.Of(process.Id));
        Assert.Empty(_next.State.Recovery!.TakeEnded());

        process.Kill();
        process.WaitForExit();

        Assert.Equal([PoolA], _next.State.Recovery.TakeEnded().AsEnumerable());
        Assert.True(_next.State.FollowRecovery());
        Assert.Empty(_next.State.Pools);
    }

    [Fact]
    public void Process_that_has_ended_or_is_another_of_its_number_should_not_be_waited_for()
    {
        var self = ProcessIdentity.Of(Environment.ProcessId);
        foreach (var gone in new[] { self with { StartTicks = self.StartTicks - 1 }, self with { BootId = "another" } })
        {
            using var rig = new RankRig();
            Save(gone);
            rig.State.Recover(File, TimeSpan.FromSeconds(1), TimeProvider.System, out var problem);
            Assert.Null(problem);
            Assert.Null(rig.State.Awaited);
            Assert.Empty(rig.State.Pools);
        }
    }

    [Fact]
    public void File_should_read_as_it_was_written()
    {
        var process = Save(new ProcessIdentity(4711, 12345, "boot"));

        Assert.Null(File.Load(out var read));

        Assert.Equal(process, Assert.Single(read));
        Assert.Equal(UnixFileMode.UserRead | UnixFileMode.UserWrite, System.IO.File.GetUnixFileMode(Path.Combine(_directory, "attached")));
    }

    [Theory]
    [InlineData(0)]
    [InlineData(3)]
    [InlineData(11)]
    [InlineData(90)]
    public void File_that_is_cut_off_should_stop_the_host_and_say_what_to_do(int length)
    {
        Save(new ProcessIdentity(4711, 12345, "boot"));
        var path = Path.Combine(_directory, "attached");
        System.IO.File.WriteAllBytes(path, System.IO.File.ReadAllBytes(path)[..length]);

        _next.State.Recover(File, TimeSpan.FromSeconds(1), TimeProvider.System, out var problem);

        Assert.Contains(path, problem, StringComparison.Ordinal);
        Assert.Contains("Remove it when none of them runs any more", problem, StringComparison.Ordinal);
    }

    private AttachedProcess Save(ProcessIdentity process)
    {
        var known = _former.Rank.State.Pools[PoolA].Replica;
        var attached = new AttachedProcess(PoolA, known.Rank, known.Spec, known.Owner, known.Epoch, _worker.Incarnation, process);
        Assert.Null(File.Save([attached]));
        return attached;
    }

    private void Begin(ProcessIdentity process)
    {
        Save(process);
        Assert.Empty(_next.State.Recover(File, TimeSpan.FromSeconds(1), TimeProvider.System, out var problem));
        Assert.Null(problem);
    }

    private void Attach(
        ImmutableArray<LentExtent> held, Func<ImmutableArray<SafeFileHandle>, ImmutableArray<SafeFileHandle>>? change = null, WorkerIncarnation worker = default)
    {
        var descriptors = ImmutableArray.CreateBuilder<SafeFileHandle>();
        foreach (var lent in held)
        {
            Assert.True(_former.Memory.TryExport(lent.Extent, out var some));
            descriptors.AddRange(some);
        }

        _line.Said.Clear();
        _next.State.Workers.Attaching(
            _line,
            new WorkerProtocol.AttachRank(
                worker == default ? _worker.Incarnation : worker, WorkerRig.Name, 0, TestPools.Gpu(0), "host", PoolA, new Epoch(9, 9), 77, held),
            change?.Invoke(descriptors.ToImmutable()) ?? descriptors.ToImmutable());
        Assert.True(_next.State.Workers.TryBegin(out var news));
        _work.Hear(news);
        _next.State.Workers.Done();
    }

    private sealed class Line : IWorkerConnection
    {
        public List<WorkerProtocol.IMessage> Said { get; } = [];

        public long ConnectionId => 1;

        public uint UserId => 1000;

        public int ProcessId => Environment.ProcessId;

        public bool TrySend(WorkerProtocol.IMessage message, ImmutableArray<SafeFileHandle> descriptors)
        {
            Said.Add(message);
            foreach (var descriptor in descriptors)
            {
                descriptor.Dispose();
            }

            return true;
        }

        public void Close()
        {
        }
    }
}
