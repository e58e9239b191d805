using Kvcached.Client.Native.Abi;
using Kvcached.Client.Native.Events;

namespace Kvcached.Client.Native.Tests;

public sealed class EventQueueTests
{
    [Fact]
    public void Take_GivesEvents_InTheirOrder()
    {
        var queue = new EventQueue(4);
        var taken = new AbiEvent[3];
        Assert.Equal(0, queue.Take(taken));
        Add(queue, 1, 2, 3, 4);
        Assert.Equal(3, queue.Take(taken));
        Assert.Equal([1, 2, 3], taken.Select(happened => happened.Block));
        Add(queue, 5, 6);
        Assert.Equal(3, queue.Take(taken));
        Assert.Equal([4, 5, 6], taken.Select(happened => happened.Block));
        Assert.True(queue.IsEmpty);
    }

    [Fact]
    public void Add_BeyondTheRoom_LosesTheOldestAndSaysHowMany()
    {
        var queue = new EventQueue(3);
        Add(queue, 1, 2, 3, 4, 5);
        var taken = new AbiEvent[10];
        Assert.Equal(4, queue.Take(taken));
        Assert.Equal((EventKind.Lost, 2L), (taken[0].Kind, taken[0].LostCount));
        Assert.Equal([3, 4, 5], taken[1..4].Select(happened => happened.Block));
        Assert.Equal(0, queue.Take(taken));
    }

    [Fact]
    public void Tag_OfAnEvent_ComesBackAsItWas()
    {
        var queue = new EventQueue(1);
        var happened = new AbiEvent { Kind = EventKind.Evicted };
        happened.Tag.Set([7, 8, 9]);
        queue.Add(happened);
        var taken = new AbiEvent[1];
        Assert.Equal(1, queue.Take(taken));
        Assert.Equal(3, taken[0].Tag.ByteCount);
        Assert.Equal([7, 8, 9], ((ReadOnlySpan<byte>)taken[0].Tag.Bytes)[..3].ToArray());
    }

    private static void Add(EventQueue queue, params int[] blocks)
    {
        foreach (var block in blocks)
        {
            queue.Add(new AbiEvent { Kind = EventKind.Evicted, Block = block });
        }
    }
}
