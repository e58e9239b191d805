namespace Kvcached.Client.Native.Tests.Program;

/// <summary>The library as a C program sees it.</summary>
public sealed class NativeProgramTests(NativeProgram program) : IClassFixture<NativeProgram>
{
    public static TheoryData<string> Cases() => [.. s_cases];

    private static readonly string[] s_cases =
    [
        "names_need_no_runtime", "bad_handles_give_a_code", "null_pointers_give_a_code", "options_out_of_range_give_a_code",
        "a_host_that_is_not_there_refuses", "specs_are_checked", "wild_specs_never_crash", "loading_starts_nothing", "signals_stay_the_engines",
        "collection_stops_threads_with_restored_signals", "forked_children_are_refused", "children_made_without_handlers_are_refused",
        "children_forked_before_the_first_call_may_use_it", "forked_children_have_no_sockets_of_the_library", "threads_of_the_engine_may_call",
        "each_thread_has_its_own_last_error", "no_other_library_comes_along",
    ];

    [Theory]
    [MemberData(nameof(Cases))]
    public void Case_InAProcessOfItsOwn_Passes(string name)
    {
        var (exitCode, output) = program.Run(name);
        Assert.True(exitCode == 0, $"{name} ended with {exitCode}: {output}");
    }

    [Fact]
    public void List_OfTheProgram_IsTheOneAbove()
    {
        var (exitCode, output) = program.Run("--list");
        Assert.Equal(0, exitCode);
        Assert.Equal(s_cases, output.Split('\n', StringSplitOptions.RemoveEmptyEntries));
    }

    [Fact]
    public void UnknownCase_IsAnError() => Assert.Equal(2, program.Run("no_such_case").ExitCode);
}
