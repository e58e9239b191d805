using System.Text;
using CsCheck;
using Kvcached.Router.Traffic;

namespace Kvcached.Router.Tests.Traffic;

public sealed class EventCounterTests
{
    [Theory]
    [InlineData("data: a\n\ndata: b\n\n", 2)]
    [InlineData("data: a\r\n\r\ndata: b\r\n\r\n", 2)]
    [InlineData(": ping\n\n\n\ndata: a\n\n", 1)]
    [InlineData("event: x\ndata: a\ndata: b\n\n", 1)]
    [InlineData("data: a\n", 0)]
    [InlineData("\n\n\n", 0)]
    public void Count_AnyCut_TheSameNumber(string stream, int expected)
    {
        var bytes = Encoding.UTF8.GetBytes(stream);
        Gen.Int[1, 9].Sample(size =>
        {
            var counter = new EventCounter();
            var sum = 0;
            foreach (var chunk in bytes.Chunk(size))
            {
                sum += counter.Count(chunk);
            }

            Assert.Equal(expected, sum);
        });
    }
}
