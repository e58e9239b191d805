using Kvcached.Client.Arenas;
using Kvcached.Core.Ids;

namespace Kvcached.Client.Tests.Arenas;

public sealed class StepTrackerTests
{
    private readonly StepTracker _steps = new();
    private readonly HashSet<nint> _complete = [];

    [Fact]
    public void Completed_TwoStepsInFlight_FollowsTheEarliest()
    {
        Submit(1, stream: 1, ticket: 10);
        Submit(2, stream: 2, ticket: 20);
        Poll(20);
        Assert.Equal(new EngineStep(0), _steps.Completed);
        Poll(10);
        Assert.Equal(new EngineStep(2), _steps.Completed);
    }

    [Fact]
    public void Completed_StepOnTwoStreams_WaitsForBoth()
    {
        Submit(5, stream: 1, ticket: 10);
        Submit(5, stream: 2, ticket: 20);
        Poll(10);
        Assert.Equal(new EngineStep(4), _steps.Completed);
        Poll(20);
        Assert.Equal(new EngineStep(5), _steps.Completed);
    }

    [Fact]
    public void Completed_StepThatCouldNotBeMarked_ComesWithTheNextMarkOfItsStream()
    {
        Submit(1, stream: 1, ticket: null);
        Submit(2, stream: 2, ticket: 20);
        Poll(20);
        Assert.Equal(new EngineStep(0), _steps.Completed);
        Assert.True(_steps.NeedsSync);
        Submit(3, stream: 1, ticket: 30);
        Assert.False(_steps.NeedsSync);
        Poll(30);
        Assert.Equal(new EngineStep(3), _steps.Completed);
    }

    [Fact]
    public void Synchronized_CompletesWhatCouldNotBeMarkedBefore_AndNothingLater()
    {
        Submit(1, stream: 1, ticket: null);
        var mark = _steps.TakeMark();
        Submit(2, stream: 2, ticket: null);
        _steps.Synchronized(mark);
        Assert.Equal(new EngineStep(1), _steps.Completed);
    }

    [Fact]
    public void Done_WithoutStreams_IsCompleteAtOnceAndNeverGoesBack()
    {
        _steps.Done(new EngineStep(8));
        _steps.Done(new EngineStep(3));
        Assert.Equal(new EngineStep(8), _steps.Completed);
    }

    private void Submit(long step, nint stream, nint? ticket) => _steps.Submitted(new EngineStep(step), stream, ticket);

    private void Poll(nint ticket)
    {
        _complete.Add(ticket);
        _steps.Poll(_complete.Contains);
    }
}
