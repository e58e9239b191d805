using System.Net;
using Kvcached.Router.Configuration;
using Kvcached.Router.Tests.Support;
using Microsoft.Extensions.Hosting;

namespace Kvcached.Router.Tests.Configuration;

public sealed class ModelsReloadTests
{
    [Fact]
    public async Task File_ThatChanges_IsTakenOverAndOneWithMistakesIsNot()
    {
        await using var engine = await FakeEngine.StartAsync();
        await using var rig = await RouterRig.StartAsync(RouterRig.Yaml("conv", [engine]));
        var kept = rig.Table.Find("conv")!;

        await WriteAsync(rig, "models: [");
        rig.Get<IEnumerable<IHostedService>>().OfType<ModelsReload>().Single().Look(isForced: true);
        Assert.Same(kept, rig.Table.Find("conv"));

        await WriteAsync(rig, $"models:\n{RouterRig.Entry("code", [engine])}{RouterRig.Entry("conv", [engine], "    maxInFlight: 3\n")}");
        await RouterRig.UntilAsync(() => rig.Table.Find("code") is not null);
        Assert.Same(kept, rig.Table.Find("conv"));
        Assert.Equal(3, kept.Gate.Route.MaxInFlight);
        using (var served = await rig.AskAsync("code"))
        {
            Assert.Equal(HttpStatusCode.OK, served.StatusCode);
        }

        await WriteAsync(rig, RouterRig.Yaml("code", [engine]));
        await RouterRig.UntilAsync(() => rig.Table.Find("conv") is null);
        using var gone = await rig.AskAsync("conv");
        Assert.Equal((HttpStatusCode.NotFound, "model_not_found"), (await RouterRig.ErrorOf(gone)) is var error ? (error.Status, error.Code) : default);
    }

    // As editors do: another file takes its place.
    private static async Task WriteAsync(RouterRig rig, string yaml)
    {
        await File.WriteAllTextAsync(rig.ModelsPath + ".new", yaml);
        File.Move(rig.ModelsPath + ".new", rig.ModelsPath, overwrite: true);
    }
}
