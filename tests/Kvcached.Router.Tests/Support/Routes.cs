using Kvcached.Router.Configuration;
using Kvcached.Router.Models;

namespace Kvcached.Router.Tests.Support;

/// <summary>Routes as a file describes them.</summary>
internal static class Routes
{
    /// <summary>One model, with what else its entry says.</summary>
    public static ModelRoute One(string name = "conv", int replicaCount = 1, string more = "")
    {
        var addresses = string.Join(", ", Enumerable.Range(1, replicaCount).Select(index => $"\"http://127.0.0.1:{index}\""));
        return Assert.Single(Read($"models:\n  - name: {name}\n    replicas: [{addresses}]\n{more}"));
    }

    public static IReadOnlyList<ModelRoute> Read(string yaml)
    {
        var read = ModelsFileReader.Read(yaml, "models.yaml");
        Assert.Empty(read.Errors);
        return read.Models;
    }
}
