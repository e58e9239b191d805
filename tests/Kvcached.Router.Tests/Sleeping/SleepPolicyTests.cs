using Kvcached.Router.Models;
using Kvcached.Router.Sleeping;
using Kvcached.Router.Tests.Support;

namespace Kvcached.Router.Tests.Sleeping;

public sealed class SleepPolicyTests
{
    private static readonly TimeOnly Noon = new(12, 0);
    private static readonly TimeOnly Night = new(2, 0);

    [Theory]
    [InlineData(nameof(ModelState.Awake), 100, 0, 0, 60, nameof(SleepAdvice.Sleep))]
    [InlineData(nameof(ModelState.Awake), 100, 0, 0, 59, nameof(SleepAdvice.Nothing))]
    [InlineData(nameof(ModelState.Awake), 29, 0, 0, 60, nameof(SleepAdvice.Nothing))]
    [InlineData(nameof(ModelState.Awake), 100, 1, 0, 0, nameof(SleepAdvice.Nothing))]
    [InlineData(nameof(ModelState.Awake), 100, 0, 1, 0, nameof(SleepAdvice.Nothing))]
    [InlineData(nameof(ModelState.Draining), 100, 0, 0, 90, nameof(SleepAdvice.Nothing))]
    [InlineData(nameof(ModelState.Asleep), 100, 0, 0, 90, nameof(SleepAdvice.Nothing))]
    public void Advise_IdleAfter_SleepsWhenIdleAndLongEnoughAwake(string state, int inState, int inFlight, int queued, int idle, string expected) =>
        Assert.Equal(Enum.Parse<SleepAdvice>(expected), SleepPolicy.Advise(Settings("after: 60s, minimumAwake: 30s"), Facts(Enum.Parse<ModelState>(state), inState, inFlight, queued, idle), Noon, isScheduled: false));

    [Fact]
    public void Advise_Never_NeverSleeps() =>
        Assert.Equal(SleepAdvice.Nothing, SleepPolicy.Advise(Settings("after: never"), Facts(ModelState.Awake, 9999, 0, 0, 9999), Night, isScheduled: false));

    [Fact]
    public void Advise_Schedule_SleepsInItsTimeAndWakesAtItsEnd()
    {
        var settings = Settings("minimumAwake: 30s, schedule: [\"22:00-06:00\"]");
        Assert.Equal(SleepAdvice.Sleep, SleepPolicy.Advise(settings, Facts(ModelState.Awake, 30, 0, 0, 1), Night, isScheduled: false));
        Assert.Equal(SleepAdvice.Nothing, SleepPolicy.Advise(settings, Facts(ModelState.Awake, 29, 0, 0, 1), Night, isScheduled: false));
        Assert.Equal(SleepAdvice.Nothing, SleepPolicy.Advise(settings, Facts(ModelState.Awake, 9999, 0, 0, 9999), Noon, isScheduled: false));
        Assert.Equal(SleepAdvice.Nothing, SleepPolicy.Advise(settings, Facts(ModelState.Asleep, 9999, 0, 0, 9999), Night, isScheduled: true));
        Assert.Equal(SleepAdvice.Wake, SleepPolicy.Advise(settings, Facts(ModelState.Asleep, 9999, 0, 0, 9999), Noon, isScheduled: true));
        Assert.Equal(SleepAdvice.Nothing, SleepPolicy.Advise(settings, Facts(ModelState.Asleep, 9999, 0, 0, 9999), Noon, isScheduled: false));
    }

    private static SleepSettings Settings(string text) => Routes.One(more: $"    sleep: {{engine: vllm, {text}}}\n").Sleep;

    private static ModelFacts Facts(ModelState state, int inState, int inFlight, int queued, int idle) =>
        new(state, TimeSpan.FromSeconds(inState), inFlight, queued, TimeSpan.FromSeconds(idle), 1);
}
