using Spectre.Console;

namespace Kvcached.TraceReplay.Display;

/// <summary>A table that leaves out its less important columns where the terminal is narrow, and never breaks a number.</summary>
internal sealed class ColumnTable
{
    private readonly Table _table = new Table().RoundedBorder().BorderColor(Color.Grey35);
    private readonly List<bool> _isShown = [];
    private readonly int _width;

    /// <param name="width">Width of the terminal, in characters.</param>
    public ColumnTable(int width) => _width = width;

    public Table Table => _table;

    /// <summary>Adds a column that is shown when the terminal has at least <paramref name="fromWidth"/> characters.</summary>
    public ColumnTable Column(string heading, bool isNumber = true, int fromWidth = 0)
    {
        _isShown.Add(_width >= fromWidth);
        if (_isShown[^1])
        {
            var column = new TableColumn(heading) { NoWrap = true };
            _table.AddColumn(isNumber ? column.RightAligned() : column);
        }

        return this;
    }

    /// <summary>Adds a row with a cell, as markup, for every column.</summary>
    public void Row(params string[] cells) => _table.AddRow([.. cells.Where((_, index) => _isShown[index])]);
}
