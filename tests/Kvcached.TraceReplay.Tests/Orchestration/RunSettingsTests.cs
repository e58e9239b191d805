using Kvcached.TraceReplay.Engine;
using Kvcached.TraceReplay.Orchestration;

namespace Kvcached.TraceReplay.Tests.Orchestration;

public sealed class RunSettingsTests
{
    [Fact]
    public void Validate_Defaults_AreFine() => Assert.True(new RunSettings().Validate().Successful);

    [Fact]
    public void Validate_OutOfRange_NamesTheOption()
    {
        Refused("--hosts", new RunSettings { Hosts = 0 });
        Refused("--hosts", new RunSettings { Hosts = 65 });
        Refused("--layers", new RunSettings { Layers = 0 });
        Refused("--layers", new RunSettings { Layers = 33 });
        Refused("--backend", new RunSettings { Backend = "rocm" });
        Refused("--memory", new RunSettings { Memory = "lots" });
        Refused("--memory", new RunSettings { Memory = "1MiB" });
        Refused("--minutes", new RunSettings { Minutes = 0 });
        Refused("--minutes", new RunSettings { Minutes = double.NaN });
        Refused("--speed", new RunSettings { Speed = -1 });
        Refused("--decode-step-ms", new RunSettings { DecodeStepMilliseconds = 0 });
        Refused("--prefill-tokens-per-second", new RunSettings { PrefillTokensPerSecond = 0 });
        Refused("--drain-seconds", new RunSettings { DrainSeconds = -1 });
        Refused("--faults", new RunSettings { Faults = "hostKill,flood" });
        Refused("--chart", new RunSettings { Chart = " " });
    }

    [Fact]
    public void Memory_Sizes_AreRead()
    {
        Assert.Null(new RunSettings().MemoryBytes);
        Assert.Equal(3L << 29, new RunSettings { Memory = "1.5GiB" }.MemoryBytes);
    }

    [Fact]
    public void LayerCount_Full_IsTheWholeModel()
    {
        Assert.Equal(4, new RunSettings().LayerCount);
        Assert.Equal(32, new RunSettings { IsFull = true }.LayerCount);
    }

    [Fact]
    public void Validate_Engine_NamesTheOption()
    {
        var message = new EngineSettings { Name = "e", Gpus = "HOST-0,HOST-1", Hosts = "127.0.0.1:1", Model = "gpt-9" }.Validate().Message;

        Assert.Contains("--model", message, StringComparison.Ordinal);
        Assert.True(new EngineSettings { Name = "e", Gpus = "HOST-0,HOST-1", Hosts = "127.0.0.1:1" }.Validate().Successful);
        Assert.False(new EngineSettings { Name = "e", Gpus = "HOST_0", Hosts = "127.0.0.1:1" }.Validate().Successful);
        Assert.False(new EngineSettings { Name = "e", Gpus = "HOST-0" }.Validate().Successful);
    }

    private static void Refused(string option, RunSettings settings)
    {
        var result = settings.Validate();
        Assert.False(result.Successful, option);
        Assert.Contains(option, result.Message, StringComparison.Ordinal);
    }
}
