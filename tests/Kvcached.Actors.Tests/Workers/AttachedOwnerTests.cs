using Kvcached.Actors.Ranks;
using Kvcached.Actors.Tests.Ranks;
using Kvcached.Core.Ids;

namespace Kvcached.Actors.Tests.Workers;

/// <summary>Whose a pool is, as the next life of a host finds it written down.</summary>
public sealed class AttachedOwnerTests : IDisposable
{
    private readonly string _directory = Directory.CreateTempSubdirectory("kvcached-owner-").FullName;

    [Fact]
    public void Pool_that_passes_to_another_session_should_be_written_down_with_it()
    {
        var file = new AttachedProcessFile(Path.Combine(_directory, "attached"));
        using var rig = new WorkerRig();
        rig.Rank.State.Recover(file, TimeSpan.FromSeconds(1), TimeProvider.System, out var problem);
        Assert.Null(problem);
        rig.NewAttachedWorker();
        Assert.Equal(RankRig.Session, OwnerIn(file));

        var successor = SessionId.New();
        rig.Work.Open(RankRig.OpenForWorkers(WorkerRig.Pool) with { Owner = successor });

        Assert.Equal(successor, OwnerIn(file));
    }

    public void Dispose() => Directory.Delete(_directory, recursive: true);

    private static SessionId OwnerIn(AttachedProcessFile file)
    {
        Assert.Null(file.Load(out var processes));
        return Assert.Single(processes).Owner;
    }
}
