using System.Text;
using Kvcached.Router.Proxy;

namespace Kvcached.Router.Tests.Proxy;

public sealed class RequestPeekTests
{
    [Theory]
    [InlineData("""{"model":"conv"}""", "conv")]
    [InlineData("""{"messages":[{"model":"inner"}],"model":"meta-llama/Llama-3.2-1B","n":{"model":1}}""", "meta-llama/Llama-3.2-1B")]
    [InlineData("""{"model":"caf\u00e9"}""", "café")]
    [InlineData("""{"m\u006fdel":"conv"}""", "conv")]
    public void FindModel_OneModelAtTheTop_Found(string json, string expected)
    {
        Assert.Null(RequestPeek.FindModel(Encoding.UTF8.GetBytes(json), out var model));
        Assert.Equal(expected, model);
    }

    [Theory]
    [InlineData("", "not valid JSON")]
    [InlineData("[]", "must be a JSON object")]
    [InlineData("{}", "'model' is missing")]
    [InlineData("""{"model":1}""", "must be a string")]
    [InlineData("""{"model":""}""", "must be a string")]
    [InlineData("""{"model":null}""", "must be a string")]
    [InlineData("""{"model":"a","model":"b"}""", "more than once")]
    [InlineData("""{"model":"a","m\u006fdel":"b"}""", "more than once")]
    [InlineData("""{"model":"a"} {"model":"b"}""", "not valid JSON")]
    [InlineData("""{"model":"a",}""", "not valid JSON")]
    [InlineData("""{"model":"a" """, "not valid JSON")]
    [InlineData("""{"model":"\ud800"}""", "not valid JSON")]
    public void FindModel_AnythingElse_SaysWhatIsWrong(string json, string expected)
    {
        Assert.Contains(expected, RequestPeek.FindModel(Encoding.UTF8.GetBytes(json), out var model), StringComparison.Ordinal);
        Assert.Null(model);
    }

    [Fact]
    public void FindModel_NestedWithoutEnd_IsRefusedNotOverflown() =>
        Assert.NotNull(RequestPeek.FindModel(Encoding.UTF8.GetBytes("{\"a\":" + new string('[', 1_000_000)), out _));

    [Fact]
    public void FindModel_BytesThatAreNoText_SaysWhatIsWrong() =>
        Assert.NotNull(RequestPeek.FindModel([(byte)'{', (byte)'"', 0xff, (byte)'"', (byte)':', (byte)'1', (byte)'}'], out _));
}
