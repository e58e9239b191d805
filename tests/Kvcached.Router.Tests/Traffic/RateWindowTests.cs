using Kvcached.Router.Traffic;

namespace Kvcached.Router.Tests.Traffic;

public sealed class RateWindowTests
{
    [Fact]
    public void PerSecond_EventsLeaveTheWindow_NoLongerCounted()
    {
        var window = new RateWindow();
        window.Add(10);
        window.Add(10);
        window.Add(11);
        Assert.Equal(1, window.PerSecond(11, 1));
        Assert.Equal(1.5, window.PerSecond(11, 2));
        Assert.Equal(0.5, window.PerSecond(12, 2));
        Assert.Equal(0, window.PerSecond(13, 2));
        Assert.Equal(3.0 / 60, window.PerSecond(13, 60));
    }

    [Fact]
    public void PerSecond_AfterALongPause_ForgetsAll()
    {
        var window = new RateWindow();
        window.Add(5);
        Assert.Equal(0, window.PerSecond(5 + (3L * RateWindow.MaxSeconds), RateWindow.MaxSeconds));
        window.Add(5 + (3L * RateWindow.MaxSeconds));
        Assert.Equal(1, window.PerSecond(5 + (3L * RateWindow.MaxSeconds), 1));
    }
}
