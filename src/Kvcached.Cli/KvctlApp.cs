using Kvcached.Cli.Commands;
using Spectre.Console.Cli;

namespace Kvcached.Cli;

/// <summary>The commands of <c>kvctl</c>.</summary>
internal static class KvctlApp
{
    /// <summary>All commands that are shown, for completion.</summary>
    public static IReadOnlyList<string> CommandNames { get; } =
        ["list", "gpus", "cluster", "limit", "limit-percent", "trim", "drain", "top", "watch", "explain", "plan", "serve", "doctor", "completion"];

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
            config.AddCommand<LimitCommand>("limit").WithDescription("Changes a pool's limit, floor or weight. Ends with 5 while the pool holds more than its limit.")
                .WithExample("limit", "conv", "20GiB").WithExample("limit", "conv", "50%", "--floor", "2GiB", "--weight", "3")
                .WithExample("limit", "conv", "10GiB", "--gpus", "GPU-5ac1,GPU-9f02");
            config.AddCommand<LimitPercentCommand>("limit-percent").WithDescription("As limit, with a number of percents of what each GPU lends.")
                .WithExample("limit-percent", "conv", "50");
            config.AddCommand<TrimCommand>("trim").WithDescription("Has a pool give up what it has mapped and doesn't use.").WithExample("trim", "conv", "2GiB");
            config.AddCommand<DrainCommand>("drain").WithDescription("Makes a GPU's host ready to be stopped, as for an upgrade. Ends with 5 while something is under way.")
                .WithExample("drain", "GPU-5ac1").WithExample("drain", "GPU-5ac1", "--undo");
            config.AddCommand<TopCommand>("top").WithAlias("kvtop").WithDescription("Shows GPUs and pools as they change.");
            config.AddCommand<WatchCommand>("watch").WithDescription("Prints what happens in the domain.").WithExample("watch", "conv");
            config.AddCommand<ExplainCommand>("explain").WithDescription("Says where each GPU's memory is.");
            config.AddCommand<PlanCommand>("plan").WithDescription("Says whether models fit before they are started. Ends with 6 when they don't.").WithExample("plan", "models.yaml");
            config.AddCommand<ServeCommand>("serve").WithDescription("Starts hosts, engines and the router of a file of models, and keeps them running until told to stop.")
                .WithExample("serve", "-f", "models.yaml");
            config.AddCommand<DoctorCommand>("doctor").WithDescription("Checks the machine, its hosts and their cluster, and says what to fix. Ends with 6 when something is wrong.");
            config.AddCommand<CompletionCommand>("completion").WithDescription("Prints a completion script for a shell.").WithExample("completion", "bash");
            config.AddCommand<NamesCommand>("names").IsHidden();
        });
        return app;
    }
}
