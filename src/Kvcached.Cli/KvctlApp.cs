using Kvcached.Cli.Commands;
using Spectre.Console.Cli;

namespace Kvcached.Cli;

/// <summary>The commands of <c>kvctl</c>.</summary>
internal static class KvctlApp
{
    public static CommandApp Create()
    {
        var app = new CommandApp();
        app.Configure(config =>
        {
            config.SetApplicationName("kvctl");
            config.SetApplicationVersion(typeof(KvctlApp).Assembly.GetName().Version!.ToString(3));
            config.UseStrictParsing();
            config.SetExceptionHandler(ExitCodes.Report);
            config.AddCommand<ListCommand>("list").WithDescription("Lists the pools of the domain.").WithExample("list", "--json");
            config.AddCommand<GpusCommand>("gpus").WithDescription("Lists the GPUs of the domain and what they lend.");
            config.AddCommand<ClusterCommand>("cluster").WithDescription("Lists the hosts of the domain's cluster.");
        });
        return app;
    }
}
