using YamlDotNet.Core;
using YamlDotNet.Serialization;
using YamlDotNet.Serialization.NamingConventions;

namespace Kvcached.Cli.Planning;

/// <summary>The file of <c>kvctl plan</c>: the GPUs there are, and the models that are to share them.</summary>
internal sealed class PlanFile
{
    public List<PlanGpu> Gpus { get; set; } = [];

    public List<PlanModel> Models { get; set; } = [];

    /// <exception cref="UsageException">It can't be read, or isn't of that form.</exception>
    public static PlanFile Read(string path)
    {
        try
        {
            var file = new DeserializerBuilder().WithNamingConvention(CamelCaseNamingConvention.Instance).Build().Deserialize<PlanFile?>(File.ReadAllText(path));
            return file is { Gpus.Count: > 0, Models.Count: > 0 } ? file : throw new UsageException($"{path} names no gpus, or no models.");
        }
        catch (YamlException exception)
        {
            throw new UsageException($"{path}, line {exception.Start.Line}: {exception.InnerException?.Message ?? exception.Message}");
        }
        catch (Exception exception) when (exception is IOException or UnauthorizedAccessException)
        {
            throw new UsageException($"{path} can't be read: {exception.Message}");
        }
    }
}

/// <summary>A GPU of a plan.</summary>
internal sealed class PlanGpu
{
    public string Name { get; set; } = string.Empty;

    /// <summary>All that it has, such as 80GiB.</summary>
    public string Memory { get; set; } = string.Empty;

    /// <summary>What is left to contexts, activations and others; default 2GiB.</summary>
    public string Headroom { get; set; } = "2GiB";
}

/// <summary>A model of a plan: its weights, and the pool of its KV cache, on each of its GPUs.</summary>
internal sealed class PlanModel
{
    public string Name { get; set; } = string.Empty;

    /// <summary>Names of its GPUs.</summary>
    public List<string> Gpus { get; set; } = [];

    /// <summary>What its weights take on each GPU; default 0.</summary>
    public string Weights { get; set; } = "0";

    /// <summary>Floor of its pool on each GPU, bytes or a percentage of what the GPU lends; default 0.</summary>
    public string Floor { get; set; } = "0";

    /// <summary>Limit of its pool on each GPU, likewise; default all that the GPU lends.</summary>
    public string Limit { get; set; } = "100%";

    /// <summary>Weight of its pool; default 1.</summary>
    public int Weight { get; set; } = 1;
}
