using Kvcached.Core.Engines;

namespace Kvcached.Core.Tests.Engines;

public sealed class ResendingTests
{
    private static readonly TimeSpan Longest = TimeSpan.FromSeconds(2);

    [Fact]
    public void The_first_few_waits_are_short_and_the_others_are_the_longest()
    {
        var waits = Enumerable.Range(1, 100).Select(times => Resending.After(times, Longest)).ToArray();
        Assert.All(waits.Take(Resending.QuickTimes), wait => Assert.InRange(wait, TimeSpan.FromMilliseconds(1), Longest / 4));
        Assert.All(waits.Skip(Resending.QuickTimes), wait => Assert.Equal(Longest, wait));
    }

    [Fact]
    public void A_longest_wait_below_the_short_one_is_the_only_one() =>
        Assert.All(Enumerable.Range(1, 10), times => Assert.Equal(TimeSpan.FromMilliseconds(50), Resending.After(times, TimeSpan.FromMilliseconds(50))));
}
