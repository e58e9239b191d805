using System.Text;
using CsCheck;
using Kvcached.Router.Traffic;

namespace Kvcached.Router.Tests.Traffic;

public sealed class UsageTailTests
{
    private static readonly TokenUsage Expected = new(12, 34);

    [Theory]
    [InlineData("""{"id":"x","choices":[],"usage":{"prompt_tokens":12,"completion_tokens":34,"total_tokens":46}}""")]
    [InlineData("""{"usage" : {"prompt_tokens_details":{"cached_tokens":5},"completion_tokens":34,"prompt_tokens":12},"after":"x"}""")]
    [InlineData("data: {\"choices\":[],\"usage\":null}\n\ndata: {\"choices\":[],\"usage\":{\"prompt_tokens\":12,\"completion_tokens\":34}}\n\ndata: [DONE]\n\n")]
    [InlineData("""{"choices":[{"text":"\"usage\":{\"prompt_tokens\":1}"}],"usage":{"prompt_tokens":12,"completion_tokens":34}}""")]
    public void Find_AnswerWithUsage_ReadHoweverItIsCut(string answer)
    {
        var bytes = Encoding.UTF8.GetBytes(answer);
        Gen.Int[1, 40].Sample(size =>
        {
            var tail = new UsageTail();
            foreach (var chunk in bytes.Chunk(size))
            {
                tail.Add(chunk);
            }

            Assert.Equal(Expected, tail.Find());
        });
    }

    [Theory]
    [InlineData("")]
    [InlineData("""{"choices":[{"text":"\"usage\":{\"prompt_tokens\":1}"}]}""")]
    [InlineData("""{"usage":null}""")]
    [InlineData("""{"usage":{"prompt_tokens":12,"completion""")]
    [InlineData("""{"usage":[1]}""")]
    [InlineData("""{"usage" """)]
    public void Find_AnswerWithoutUsage_Null(string answer)
    {
        var tail = new UsageTail();
        tail.Add(Encoding.UTF8.GetBytes(answer));
        Assert.Null(tail.Find());
    }

    [Fact]
    public void Find_LongAnswer_OnlyItsEndIsKept()
    {
        var tail = new UsageTail();
        tail.Add(Encoding.UTF8.GetBytes("""{"usage":{"prompt_tokens":1,"completion_tokens":1},"text":" """));
        tail.Add(new byte[3 * UsageTail.Capacity]);
        Assert.Null(tail.Find());
        tail.Add(Encoding.UTF8.GetBytes("x,\"usage\":{\"prompt_tokens\":12,\"completion_tokens\":34}}"));
        Assert.Equal(Expected, tail.Find());
    }
}
