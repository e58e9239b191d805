using System.Net;
using Kvcached.Router.Configuration;

namespace Kvcached.Router.Tests.Configuration;

public sealed class RouterCommandLineTests
{
    [Fact]
    public void Read_AllSettings_Taken()
    {
        var errors = new List<string>();
        var options = RouterCommandLine.Read(
            ["--models", "m.yaml", "--listen=[::1]:0", "--max-body", "1MiB", "--body-memory", "8MiB", "--max-connections", "9", "--token-file", "t"], errors);
        Assert.Empty(errors);
        Assert.Equal(
            new RouterOptions
            {
                ModelsPath = "m.yaml", Listen = new IPEndPoint(IPAddress.IPv6Loopback, 0), MaxBodyBytes = 1 << 20, BodyMemoryBytes = 8 << 20, MaxConnections = 9, TokenPath = "t",
            },
            options);
    }

    [Theory]
    [InlineData("--models FILE is missing", "--listen", "127.0.0.1:1")]
    [InlineData("--listen '127.0.0.1'", "--models", "m", "--listen", "127.0.0.1")]
    [InlineData("--listen '::1'", "--models", "m", "--listen", "::1")]
    [InlineData("--max-body '1'", "--models", "m", "--max-body", "1")]
    [InlineData("too little for a single body", "--models", "m", "--max-body", "2MiB", "--body-memory", "1MiB")]
    [InlineData("--max-connections '0'", "--models", "m", "--max-connections", "0")]
    [InlineData("needs a value", "--models")]
    [InlineData("given twice", "--models", "m", "--models", "n")]
    [InlineData("'--modelz' is not expected", "--models", "m", "--modelz")]
    public void Read_Mistake_SaysWhatIsAllowed(string expected, params string[] arguments)
    {
        var errors = new List<string>();
        Assert.Null(RouterCommandLine.Read(arguments, errors));
        Assert.Contains(errors, error => error.Contains(expected, StringComparison.Ordinal));
    }

    [Fact]
    public void Help_ListsEverySetting() => Assert.All(
        new[] { "--models", "--listen", "--max-body", "--body-memory", "--max-connections", "--token-file" },
        setting => Assert.Contains(setting, RouterCommandLine.Help, StringComparison.Ordinal));
}
