using System.ComponentModel;
using Kvcached.Cli.Planning;
using Kvcached.Core.Units;
using Spectre.Console;
using Spectre.Console.Cli;

namespace Kvcached.Cli.Commands;

/// <summary><c>kvctl plan</c></summary>
internal sealed class PlanCommand : Command<PlanCommand.Settings>
{
    internal sealed class Settings : CommandSettings
    {
        [CommandArgument(0, "<FILE>")]
        [Description("YAML file with gpus (name, memory, headroom) and models (name, gpus, weights, floor, limit, weight).")]
        public string File { get; init; } = string.Empty;

        [CommandOption("--json")]
        [Description("Prints the plan as JSON.")]
        public bool IsJson { get; init; }
    }

    public override int Execute(CommandContext context, Settings settings, CancellationToken cancellationToken)
    {
        var plan = Plan.Make(PlanFile.Read(settings.File));
        if (settings.IsJson)
        {
            Output.WriteJson(plan, CliJsonContext.Default.Plan);
        }
        else
        {
            foreach (var gpu in plan.Gpus)
            {
                var table = Output.CreateTable("model", "floor", "share when all want memory", "limit", "weight");
                foreach (var pool in gpu.Pools)
                {
                    table.AddRow(
                        new Text(pool.Model), new Text(ByteSize.Format(pool.FloorBytes)), new Text(ByteSize.Format(pool.ShareBytes)),
                        new Text(ByteSize.Format(pool.LimitBytes)), new Text($"{pool.Weight}"));
                }

                Output.Write([
                    Output.Line($"{gpu.Gpu}: {ByteSize.Format(gpu.MemoryBytes)}, of it weights {ByteSize.Format(gpu.WeightBytes)}, headroom {ByteSize.Format(gpu.HeadroomBytes)}, for pools {ByteSize.Format(gpu.LendableBytes)}"),
                    table,
                ]);
            }

            Output.Write([Output.Line(plan.Problems.Count == 0 ? "It fits." : string.Join(Environment.NewLine, plan.Problems))]);
        }

        return plan.Problems.Count == 0 ? ExitCodes.Done : ExitCodes.Unfit;
    }
}
