using Kvcached.Gpu.Tests.Support;
using Kvcached.Router.Models;
using Kvcached.Router.Tests.Support;

namespace Kvcached.Router.Tests.Models;

public sealed class ModelGateSleepTests
{
    private readonly ManualTime _time = new();
    private readonly List<ModelGate> _wanted = [];

    [Fact]
    public async Task TryBeginSleep_RequestsInFlight_WaitsForThemAll()
    {
        var gate = Gate();
        var ticket = await gate.EnterAsync();
        var attempt = gate.TryBeginSleep(isInterruptible: true)!;
        Assert.False(attempt.Drained.IsCompleted);
        Assert.False(gate.TryFallAsleep(attempt));
        gate.Leave(ticket);
        Assert.True(await attempt.Drained);
        Assert.True(gate.TryFallAsleep(attempt));
        gate.FellAsleep(attempt);
        Assert.Equal(ModelState.Asleep, gate.Facts.State);
        Assert.Null(gate.TryBeginSleep(isInterruptible: true));
    }

    [Fact]
    public async Task EnterAsync_BetweenDecisionAndSleep_IsServedAndTheModelStaysAwake()
    {
        var gate = Gate();
        var attempt = gate.TryBeginSleep(isInterruptible: true)!;
        Assert.True(await attempt.Drained);
        await gate.EnterAsync();
        Assert.False(gate.TryFallAsleep(attempt));
        Assert.Equal(ModelState.Awake, gate.Facts.State);
        Assert.Empty(_wanted);
    }

    [Fact]
    public async Task EnterAsync_WhileAnOrderedSleepDrains_WaitsUntilItHasSleptAndWoken()
    {
        var gate = Gate();
        var first = await gate.EnterAsync();
        var attempt = gate.TryBeginSleep(isInterruptible: false)!;
        var waiting = gate.EnterAsync(CancellationToken.None).AsTask();
        gate.Leave(first);
        Assert.True(await attempt.Drained);
        Assert.True(gate.TryFallAsleep(attempt));
        Assert.False(waiting.IsCompleted);
        gate.FellAsleep(attempt);
        Assert.Equal([gate], _wanted);
        _time.Advance(TimeSpan.FromMilliseconds(700));
        gate.Woke(TimeSpan.FromMilliseconds(700));
        Assert.False((await waiting).IsRefused(out _, out var ticket));
        Assert.Equal(TimeSpan.FromMilliseconds(700), ticket!.WakeWait);
    }

    [Fact]
    public async Task EnterAsync_ManyWhileAsleep_WakeItOnce()
    {
        var gate = Asleep();
        var waiting = Enumerable.Range(0, 50).Select(_ => gate.EnterAsync(CancellationToken.None).AsTask()).ToArray();
        Assert.Equal([gate], _wanted);
        gate.Woke(TimeSpan.FromSeconds(1));
        Assert.All(await Task.WhenAll(waiting), admission => Assert.False(admission.IsRefused(out _, out _)));
        Assert.Null((await gate.EnterAsync()).WakeWait);
    }

    [Fact]
    public async Task EnterAsync_WakeTakesLongerThanItMayWait_RefusedAtOnceButWoken()
    {
        var gate = Asleep("    queueDeadline: 2s\n", "expectedWake: 10s");
        var refusal = await gate.EnterAsync(CancellationToken.None).RefusedAsync();
        Assert.Equal((RefusalKind.WakeTooSlow, TimeSpan.FromSeconds(10)), (refusal.Kind, refusal.RetryAfter));
        Assert.Equal([gate], _wanted);

        // Near its end the rest is short enough to wait for.
        _time.Advance(TimeSpan.FromSeconds(9));
        var waiting = gate.EnterAsync(CancellationToken.None).AsTask();
        Assert.False(waiting.IsCompleted);
        gate.Woke(TimeSpan.FromSeconds(9.5));
        Assert.False((await waiting).IsRefused(out _, out _));
        Assert.Equal(TimeSpan.FromSeconds(9.5), gate.ExpectedWake);
    }

    [Fact]
    public async Task WakeFailed_WhoWaits_IsRefusedAndTheNextRequestTriesAgain()
    {
        var gate = Asleep();
        var waiting = gate.EnterAsync(CancellationToken.None);
        gate.WakeFailed();
        Assert.Equal(RefusalKind.WakeFailed, (await waiting.RefusedAsync()).Kind);
        _ = gate.EnterAsync(CancellationToken.None).AsTask();
        Assert.Equal([gate, gate], _wanted);
    }

    [Fact]
    public async Task EnterAsync_WhileFallingAsleep_WaitsAndIsWokenFor()
    {
        var gate = Gate();
        var attempt = gate.TryBeginSleep(isInterruptible: true)!;
        Assert.True(gate.TryFallAsleep(attempt));
        var waiting = gate.EnterAsync(CancellationToken.None).AsTask();
        Assert.Empty(_wanted);
        gate.FellAsleep(attempt);
        Assert.Equal([gate], _wanted);
        gate.Woke(TimeSpan.Zero);
        Assert.False((await waiting).IsRefused(out _, out _));
    }

    [Fact]
    public async Task StayAwake_SleepGivenUp_WhoWaitsGoesOn()
    {
        var gate = Gate();
        var attempt = gate.TryBeginSleep(isInterruptible: true)!;
        Assert.True(gate.TryFallAsleep(attempt));
        var waiting = gate.EnterAsync(CancellationToken.None).AsTask();
        gate.StayAwake(attempt);
        Assert.False((await waiting).IsRefused(out _, out _));
        Assert.Empty(_wanted);
    }

    [Fact]
    public async Task StayAwake_OfAnAttemptThatWasInterrupted_LeavesTheNextOneAlone()
    {
        var gate = Gate();
        var interrupted = gate.TryBeginSleep(isInterruptible: true)!;
        gate.Leave(await gate.EnterAsync());
        var next = gate.TryBeginSleep(isInterruptible: true)!;
        Assert.True(gate.TryFallAsleep(next));
        gate.StayAwake(interrupted);
        Assert.False(gate.TryFallAsleep(interrupted));
        Assert.Equal(ModelState.FallingAsleep, gate.Facts.State);
        gate.FellAsleep(next);
        gate.StayAwake(next);
        Assert.Equal(ModelState.Asleep, gate.Facts.State);
    }

    [Fact]
    public async Task WakeAsync_WithoutARequest_CompletesWithTheOutcome()
    {
        var gate = Asleep();
        var woken = gate.WakeAsync();
        Assert.Equal([gate], _wanted);
        var again = gate.WakeAsync();
        gate.Woke(TimeSpan.Zero);
        Assert.True(await woken);
        Assert.True(await again);
        Assert.True(await gate.WakeAsync());
        Assert.Single(_wanted);
    }

    [Fact]
    public async Task Remove_WhileWaking_NobodyIsLeftWaiting()
    {
        var gate = Asleep();
        var woken = gate.WakeAsync();
        var waiting = gate.EnterAsync(CancellationToken.None);
        gate.Remove();
        Assert.False(await woken);
        Assert.Equal(RefusalKind.Removed, (await waiting.RefusedAsync()).Kind);
        gate.Woke(TimeSpan.Zero);
        Assert.Equal(ModelState.Removed, gate.Facts.State);
    }

    private ModelGate Asleep(string more = "", string sleep = "expectedWake: 1s")
    {
        var gate = Gate(more, sleep);
        gate.FoundAsleep();
        Assert.Equal(ModelState.Asleep, gate.Facts.State);
        return gate;
    }

    private ModelGate Gate(string more = "", string sleep = "expectedWake: 1s") =>
        new(Routes.One(more: $"{more}    sleep: {{engine: kvcached, {sleep}}}\n"), _time, _wanted.Add);
}
