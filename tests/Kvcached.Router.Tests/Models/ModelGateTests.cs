using CsCheck;
using Kvcached.Gpu.Tests.Support;
using Kvcached.Router.Models;
using Kvcached.Router.Tests.Support;

namespace Kvcached.Router.Tests.Models;

public sealed class ModelGateTests
{
    private readonly ManualTime _time = new();

    [Fact]
    public async Task EnterAsync_SeveralReplicas_TheFewestFirst()
    {
        var gate = Gate(Routes.One(replicaCount: 2));
        var first = await gate.EnterAsync();
        var second = await gate.EnterAsync();
        Assert.NotSame(first.Replica, second.Replica);
        gate.Leave(first);
        Assert.Same(first.Replica, (await gate.EnterAsync()).Replica);
    }

    [Fact]
    public async Task EnterAsync_AllFull_WaitsInTurn()
    {
        var gate = Gate(Routes.One(more: "    maxInFlight: 1\n"));
        var first = await gate.EnterAsync();
        var second = gate.EnterAsync(CancellationToken.None).AsTask();
        var third = gate.EnterAsync(CancellationToken.None).AsTask();
        Assert.Equal((1, 2), (gate.Facts.InFlight, gate.Facts.Queued));
        gate.Leave(first);
        Assert.False((await second).IsRefused(out _, out var ticket));
        Assert.False(third.IsCompleted);
        gate.Leave(ticket!);
        Assert.False((await third).IsRefused(out _, out _));
        Assert.Equal((1, 0), (gate.Facts.InFlight, gate.Facts.Queued));
    }

    [Fact]
    public async Task EnterAsync_AsManyWaitAsMay_RefusedAtOnce()
    {
        var gate = Gate(Routes.One(more: "    maxInFlight: 1\n    maxQueued: 1\n"));
        await gate.EnterAsync();
        _ = gate.EnterAsync(CancellationToken.None).AsTask();
        Assert.Equal(RefusalKind.QueueFull, (await gate.EnterAsync(CancellationToken.None).RefusedAsync()).Kind);
        Assert.Equal(1, gate.Facts.Queued);
    }

    [Fact]
    public async Task EnterAsync_DeadlinePasses_RefusedAndNoLongerInLine()
    {
        var gate = Gate(Routes.One(more: "    maxInFlight: 1\n    queueDeadline: 3s\n"));
        var first = await gate.EnterAsync();
        var waiting = gate.EnterAsync(CancellationToken.None);
        _time.Advance(TimeSpan.FromSeconds(3));
        Assert.Equal(RefusalKind.QueueDeadline, (await waiting.RefusedAsync()).Kind);
        gate.Leave(first);
        Assert.Equal((0, 0), (gate.Facts.InFlight, gate.Facts.Queued));
    }

    [Fact]
    public async Task EnterAsync_CallerGoesWhileWaiting_NoLongerInLine()
    {
        var gate = Gate(Routes.One(more: "    maxInFlight: 1\n"));
        var first = await gate.EnterAsync();
        using var gone = new CancellationTokenSource();
        var waiting = gate.EnterAsync(gone.Token).AsTask();
        await gone.CancelAsync();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => waiting);
        gate.Leave(first);
        Assert.Equal((0, 0), (gate.Facts.InFlight, gate.Facts.Queued));
    }

    [Fact]
    public async Task EnterAsync_NoReplicaWell_RefusedUntilOneIs()
    {
        var gate = Gate(Routes.One());
        gate.Replicas[0].IsHealthy = false;
        Assert.Equal(RefusalKind.NoReplica, (await gate.EnterAsync(CancellationToken.None).RefusedAsync()).Kind);
        gate.Replicas[0].IsHealthy = true;
        await gate.EnterAsync();
    }

    [Fact]
    public async Task Leave_Twice_CountsOnce()
    {
        var gate = Gate(Routes.One());
        var ticket = await gate.EnterAsync();
        gate.Leave(ticket);
        gate.Leave(ticket);
        Assert.Equal(0, gate.Replicas[0].Outstanding);
        Assert.Equal(0, gate.Facts.InFlight);
    }

    [Fact]
    public async Task Update_MoreRoom_WhoWaitsGoesOn()
    {
        var gate = Gate(Routes.One(more: "    maxInFlight: 1\n"));
        var kept = gate.Replicas[0];
        await gate.EnterAsync();
        var waiting = gate.EnterAsync(CancellationToken.None).AsTask();
        gate.Update(Routes.One(replicaCount: 2, more: "    maxInFlight: 1\n"));
        Assert.False((await waiting).IsRefused(out _, out var ticket));
        Assert.Same(kept, gate.Replicas[0]);
        Assert.Same(gate.Replicas[1], ticket!.Replica);
    }

    [Fact]
    public async Task Remove_WhoWaits_IsRefusedAndWhoIsInEnds()
    {
        var gate = Gate(Routes.One(more: "    maxInFlight: 1\n"));
        var ticket = await gate.EnterAsync();
        var waiting = gate.EnterAsync(CancellationToken.None);
        gate.Remove();
        Assert.Equal(RefusalKind.Removed, (await waiting.RefusedAsync()).Kind);
        Assert.Equal(RefusalKind.Removed, (await gate.EnterAsync(CancellationToken.None).RefusedAsync()).Kind);
        gate.Leave(ticket);
        Assert.Equal(0, gate.Facts.InFlight);
    }

    [Fact]
    public Task Gate_AnyOrderOfEvents_NeverMoreThanRoomAndNothingLeft() => Gen.Select(Gen.Int[1, 3], Gen.Int[1, 3], Gen.Int[0, 4], Gen.Int[0, 4].Array[0, 60]).SampleAsync(async (replicaCount, room, queue, steps) =>
    {
        var gate = Gate(Routes.One(replicaCount: replicaCount, more: $"    maxInFlight: {room}\n    maxQueued: {queue}\n"));
        var entered = new List<Task<Admission>>();
        var leavers = new List<Ticket>();
        using var gone = new CancellationTokenSource();
        foreach (var step in steps)
        {
            switch (step)
            {
                case 0 or 1 or 2:
                    entered.Add(gate.EnterAsync(gone.Token).AsTask());
                    break;
                case 3 when Tickets(entered).Except(leavers).FirstOrDefault() is { } leaver:
                    leavers.Add(leaver);
                    gate.Leave(leaver);
                    break;
                case 4:
                    gate.Replicas[0].IsHealthy ^= true;
                    gate.OnHealthChanged();
                    break;
            }

            Assert.All(gate.Replicas, replica => Assert.InRange(replica.Outstanding, 0, room));
            Assert.Equal(gate.Replicas.Sum(replica => replica.Outstanding), gate.Facts.InFlight);
            Assert.InRange(gate.Facts.Queued, 0, queue);
        }

        // Grants and cancellations reach their tasks a moment later.
        await gone.CancelAsync();
        await ((Task)Task.WhenAll(entered)).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        foreach (var ticket in Tickets(entered).Except(leavers).ToArray())
        {
            gate.Leave(ticket);
        }

        Assert.Equal((0, 0), (gate.Facts.InFlight, gate.Facts.Queued));
    });

    private ModelGate Gate(ModelRoute route) => new(route, _time, _ => Assert.Fail("nobody sleeps here"));

    private static IEnumerable<Ticket> Tickets(IEnumerable<Task<Admission>> entered)
    {
        foreach (var admission in entered.Where(task => task.IsCompletedSuccessfully))
        {
            // Completed, so that nothing waits here.
            if (!admission.GetAwaiter().GetResult().IsRefused(out _, out var ticket))
            {
                yield return ticket;
            }
        }
    }
}
