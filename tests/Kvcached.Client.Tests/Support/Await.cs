namespace Kvcached.Client.Tests.Support;

/// <summary>Waits for what other threads bring about, up to far more than it can take.</summary>
internal static class Await
{
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(30);

    public static async Task Until(Func<bool> isTrue, string what)
    {
        var started = TimeProvider.System.GetTimestamp();
        while (!isTrue())
        {
            Assert.True(TimeProvider.System.GetElapsedTime(started) < Patience, $"Waited in vain until {what}.");
            await Task.Yield();
            await Task.Delay(2);
        }
    }
}
