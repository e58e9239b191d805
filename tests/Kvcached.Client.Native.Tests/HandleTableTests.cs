namespace Kvcached.Client.Native.Tests;

public sealed class HandleTableTests
{
    [Fact]
    public void Find_OfAnotherType_FindsNothing()
    {
        var table = new HandleTable();
        var handle = table.Add("text");
        Assert.Equal("text", table.Find<string>(handle));
        Assert.Null(table.Find<List<int>>(handle));
        Assert.Null(table.Remove<List<int>>(handle));
        Assert.Equal("text", table.Remove<string>(handle));
        Assert.Null(table.Find<string>(handle));
        Assert.Null(table.Remove<string>(handle));
    }

    [Fact]
    public void Add_AfterRemove_GivesTheOldNumberToNobody()
    {
        var table = new HandleTable();
        var seen = new HashSet<ulong>();
        for (var i = 0; i < 5000; i++)
        {
            var handle = table.Add("text");
            Assert.NotEqual(0UL, handle);
            Assert.True(seen.Add(handle));
            Assert.Equal("text", table.Remove<string>(handle));
        }

        Assert.All(seen, handle => Assert.Null(table.Find<string>(handle)));
    }

    [Fact]
    public void Find_OfAnotherProcessNumber_FindsNothing()
    {
        var (mine, other) = (new HandleTable(), new HandleTable());
        var foreign = other.Add("theirs");
        mine.Add("mine");
        Assert.Null(mine.Find<string>(foreign));
    }

    [Fact]
    public void Add_WhenTheSerialWrapsToZero_StillGivesNoZero()
    {
        var table = new HandleTable(firstSerial: ulong.MaxValue);
        for (var i = 0; i < 4; i++)
        {
            var handle = table.Add("text");
            Assert.NotEqual(0UL, handle);
            Assert.Equal("text", table.Find<string>(handle));
        }
    }

    [Fact]
    public void Add_OfMoreThanThereIsRoomFor_GrowsAndKeepsAll()
    {
        var table = new HandleTable();
        var handles = Enumerable.Range(0, 1000).Select(i => table.Add(i.ToString(null, null))).ToArray();
        Assert.All(Enumerable.Range(0, 1000), i => Assert.Equal(i.ToString(null, null), table.Find<string>(handles[i])));
    }
}
